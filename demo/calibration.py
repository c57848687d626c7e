"""How long the demo will take on this machine, from ten seconds of its work."""

import os
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from demo.progress import Stage

PICTURES = 24
STEPS = 12
_DISCARDED_STEPS = 3
# Of the data set of size 'demo': how many drawn pictures, or how many steps of the calibration, last as long as the
# stage. Its seconds, and those of the calibration before it, were taken from two runs on two cores; those of the
# pretraining and the fine-tuning follow from their numbers of steps (37 minutes were estimated, and 36 taken).
_LIKE_PICTURES = {'synthetic': 1600, 'annotations': 700}
_LIKE_STEPS = {'pretrain': 600, 'vqa': 3800, 'vqa_blind': 1350, 'evaluation': 300, 'report': 80}


class Speed(NamedTuple):
    """Speed of this machine at the demo's work, on one core."""

    picture: float
    """Seconds of drawing one picture with its captions and questions."""
    step: float
    """Seconds of one pretraining step, its data included."""


def measure_speed(config: Path, results: Mapping[str, Any], resumed: bool) -> Speed:
    """Return the speed, measured with a small data set and random weights.

    Args:
        config: Config of the pretraining.
        results: Not used; the arguments are those of a stage.
        resumed: Not used.
    """
    from demo.steps import run_tool
    from soho.datasets.synthetic import generate_synthetic
    from soho.engine import Runner, load_config

    tools = Path(__file__).parents[1] / 'tools'
    with tempfile.TemporaryDirectory() as folder:
        os.environ['SOHO_SYNTHETIC'] = folder
        started = time.perf_counter()
        manifest = generate_synthetic(folder, 'tiny', workers=1)
        picture = (time.perf_counter() - started) / sum(manifest['images'].values())
        run_tool(tools / 'prepare' / 'pretrain.py', ['--root', folder])
        cfg = load_config(os.fspath(config))
        cfg.work_dir = os.path.join(folder, 'run')
        cfg.load_from = None
        runner = Runner.from_cfg(cfg)
        optimizer = runner.build_optim_wrapper(cfg.optim_wrapper)
        seconds: list[float] = []
        while len(seconds) < STEPS:
            started = time.perf_counter()
            for batch in runner.train_dataloader:
                runner.model.train_step(batch, optimizer)
                seconds.append(time.perf_counter() - started)
                started = time.perf_counter()
    return Speed(picture, sorted(seconds[_DISCARDED_STEPS:])[(len(seconds) - _DISCARDED_STEPS) // 2])


def estimate_seconds(stages: Sequence[Stage], todo: Collection[str], speed: Speed, processes: int) -> float:
    """Return how long the stages that are not done will take.

    Args:
        stages: All stages, each after those that it uses.
        todo: Names of those that are not done.
        speed: Speed of this machine.
        processes: How many trainings run at the same time.
    """
    ends: dict[str, float] = {}
    for stage in stages:
        if processes > 1 and stage.own_process:
            begin = max((ends[name] for name in stage.after), default=0.0)
        else:
            begin = max(ends.values(), default=0.0)
        ends[stage.name] = begin + (_stage_seconds(stage.name, speed) if stage.name in todo else 0.0)
    return max(ends.values())


def _stage_seconds(name: str, speed: Speed) -> float:
    return _LIKE_PICTURES.get(name, 0) * speed.picture + _LIKE_STEPS.get(name, 0) * speed.step
