"""What the stages of the demo do: prepare, train, evaluate."""

import gc
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import find_latest_checkpoint

from soho.datasets.storage.json_files import write_json
from soho.engine import Runner, load_config
from soho.evaluation.evaluator import Batch, Metric, Prediction
from soho.platform import available_cores
from soho.registry import METRICS
from soho.visualization.training_curves import read_curves


def prepare(tool: Path, synthetic: Path) -> None:
    """Call a tool of ``tools/prepare`` on the data set, as on the command line but without a new process."""
    spec = importlib.util.spec_from_file_location(f'prepare_{tool.stem}', tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(['--root', os.fspath(synthetic)])


def train(config: Path, work_dir: Path, start: str | None, resumed: bool) -> dict[str, Any]:
    """Train what a config describes.

    Args:
        config: Path of the config.
        work_dir: Where logs and checkpoints go; cleared unless ``resumed``.
        start: Checkpoint to start from, in place of the one that the config's ``load_from``
            names; a config without one starts from random weights.
        resumed: Go on from the newest checkpoint in the work dir, if there is one.

    Returns:
        ``checkpoint`` (the best on validation where the config keeps it, else the last) and
        the checkpoint ``start`` or None; ``metrics`` (the newest value of all that was logged)
        and which of them are of ``held_out`` data; ``seed``, ``device``.
    """
    if not resumed:
        shutil.rmtree(work_dir, ignore_errors=True)
    cfg = load_config(os.fspath(config))
    cfg.work_dir = os.fspath(work_dir)
    cfg.resume = find_latest_checkpoint(cfg.work_dir) is not None
    start = start if cfg.get('load_from') else None
    cfg.load_from = None if cfg.resume else start
    _use_all_cores()
    runner = Runner.from_cfg(cfg)
    runner.train()
    device = describe_device(next(runner.model.parameters()).device)
    del runner
    gc.collect()  # ends the loaders' worker processes
    curves = read_curves(work_dir)
    return dict(
        checkpoint=final_checkpoint(work_dir),
        start=start,
        metrics=curves.last(),
        held_out=sorted(curves.held_out),
        seed=cfg.randomness.seed,
        device=device,
    )


def final_checkpoint(work_dir: Path) -> str:
    """The newest ``best_*.pth`` of a work dir, or else its last checkpoint.

    Raises:
        FileNotFoundError: It has none.
    """
    best = sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime_ns)
    checkpoint = os.fspath(best[-1]) if best else find_latest_checkpoint(os.fspath(work_dir))
    if checkpoint is None:
        raise FileNotFoundError(f'{work_dir} has no checkpoint: its config needs a CheckpointHook')
    return checkpoint


def evaluate(config: Path, checkpoint: str, work_dir: Path, answers: str, log: str) -> dict[str, float]:
    """Evaluate a checkpoint on the config's test data.

    Args:
        config: Path of the config; its test evaluator is one metric.
        checkpoint: Path of the checkpoint.
        work_dir: Where the console log goes.
        answers: Takes the answers in the official submission format.
        log: Takes answer and confidence of each question, see :class:`ConfidenceLog`.

    Returns:
        The metrics of the test evaluator.
    """
    cfg = load_config(os.fspath(config))
    cfg.work_dir = os.fspath(work_dir)
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.visualizer = dict(type='Visualizer')
    _use_all_cores()
    cfg.test_evaluator = [dict(cfg.test_evaluator, out_file=answers), dict(type='ConfidenceLog', out_file=log)]
    metrics = Runner.from_cfg(cfg).test()
    gc.collect()
    return {name.rpartition('/')[2]: float(value) for name, value in metrics.items()}


@METRICS.register_module()
class ConfidenceLog(Metric):
    """Writes ``{question_id: [answer, confidence]}``; gives no figure."""

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Keep ``question_id``, ``label`` and ``confidence``, each (R,)."""
        columns = (prediction[key].tolist() for key in ('question_id', 'label', 'confidence'))
        self.results += zip(*columns)

    def compute_metrics(self, results: Sequence[tuple[int, int, float]]) -> dict[str, float]:
        return {}

    def write(self, results: Sequence[tuple[int, int, float]], path: str) -> None:
        answers = self.dataset_meta['class_names']
        write_json(
            path,
            {str(question): [answers[label], round(confidence, 4)] for question, label, confidence in sorted(results)},
        )


def describe_device(device: torch.device) -> str:
    """The machine's name for what trained."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    name = 'CPU'
    if os.path.exists('/proc/cpuinfo'):
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        name = next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), name)
    threads = torch.get_num_threads()
    return f'{name}, {threads} thread{"s" if threads > 1 else ""}'


def _use_all_cores() -> None:
    # torch counts the cores of the machine, not those that this process may use.
    if 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(available_cores())
