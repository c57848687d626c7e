"""Time of the host around a training step: loader, sampler, hooks, schedulers and message hub, at published scale."""

import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from soho.engine import Runner, load_config
from soho.paths import CONFIGS
from soho.registry import DATASETS, MODELS
from tools.benchmark.bench import Bench, Rows

WINDOW = 100  # iterations of one measurement, a multiple of the logger's interval
SETTLED = 450_000  # values that each history holds at the start, as a run has gathered late in its training


class Published(NamedTuple):
    """A published training, without its images and its model."""

    config: str
    """Recipe, below ``configs/``."""
    samples: int
    """Items of its data set."""
    scalars: tuple[str, ...]
    """What its step hands to the log."""


TRAININGS = {
    'pretraining': Published(
        'Pretrain/soho_res18_pre.py',
        1_600_000,  # groups of four captions of COCO and Visual Genome
        ('loss', 'loss_mlm', 'acc_mlm', 'loss_mvm', 'acc_mvm', 'loss_itm', 'acc_itm'),
    ),
    'VQA': Published('VQA/soho_res18_vqa.py', 450_000, ('loss', 'loss_vqa', 'score')),
    'captioning': Published(
        'VirTex/bicaptioning_R_50_L1_H2048.py',
        118_287,  # images of COCO
        ('loss', 'loss_captioning_forward', 'loss_captioning_backward'),
    ),
}


@DATASETS.register_module()
class BlankDataset(Dataset):
    """As many samples as a published data set has, all of them empty.

    Args:
        samples: How many.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.aspect_ratio = np.where(np.arange(samples)[:, None] % 4, 4 / 3, 3 / 4)  # (N, 1)
        self.metainfo: dict[str, Any] = {}

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, key: Any) -> dict[str, float]:
        return dict(blank=0.0)

    def __getitems__(self, keys: Sequence[Any]) -> list[dict[str, float]]:
        """Return one sample for a whole batch: what workers do is not measured."""
        return [self[0]]


@MODELS.register_module()
class FreeStep(BaseModel):
    """A model of the recipes' parts whose step costs nothing.

    Args:
        scalars: Names of what it hands to the log.
    """

    def __init__(self, scalars: tuple[str, ...]) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        language = dict(embedding=nn.ModuleDict(dict(norm=nn.LayerNorm(1))), projection=nn.Linear(1, 1))
        self.language = nn.ModuleDict(language)
        self.outputs = {name: torch.ones(()) for name in scalars}

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Return the same scalars at every step."""
        return self.outputs

    def forward(self, **batch: Any) -> dict[str, Tensor]:
        """Return the scalars."""
        return self.outputs


class _Enough(Exception):
    """All measurements are taken."""


class _Watch:
    """Seconds of each part, in windows of so many iterations.

    They are those of the thread that runs the loop: other programs of a busy machine do not count.

    Args:
        iterations: How many are measured; the first window is discarded.
    """

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.windows: list[dict[str, float]] = []
        self.count = 0
        self._parts: dict[str, float] = defaultdict(float)
        self._inner = 0.0  # seconds of the parts of the current iteration
        self._last: float | None = None  # the end of the last iteration

    def part(self, name: str, call: Callable) -> Callable:
        """Return ``call`` with its time added to a part."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            result = call(*args, **kwargs)
            spent = time.thread_time() - start
            self._parts[name] += spent
            self._inner += spent
            return result

        return timed

    def iteration(self, call: Callable) -> Callable:
        """Return ``run_iter`` of a loop with its own time, and that between two calls, added to their parts."""

        def timed(*args: Any, **kwargs: Any) -> None:
            start = time.thread_time()
            if self._last is not None:
                self._parts['loader and sampler'] += start - self._last
            self._inner = 0.0
            call(*args, **kwargs)
            self._last = time.thread_time()
            self._parts['loop'] += self._last - start - self._inner
            self.count += 1
            if self.count % WINDOW == 0:
                self.windows.append(dict(self._parts))
                self._parts.clear()
                self._last = time.thread_time()
            if self.count == self.iterations:
                raise _Enough

        return timed

    def milliseconds(self) -> dict[str, float]:
        """Return the median over the windows of each part's mean per iteration, and of their ``sum``."""
        counted = [dict(window, sum=sum(window.values())) for window in self.windows[1:]]
        return {
            part: 1000 / WINDOW * statistics.median(window.get(part, 0.0) for window in counted) for part in counted[0]
        }


def host(bench: Bench) -> Rows:
    """Measure everything around the step of each published training, per iteration and by part."""
    rows: Rows = []
    for name, training in TRAININGS.items():
        rows += _measure(bench, f'host, {name} with {training.samples:,} samples', training)
    return rows


def _config(training: Published, folder: str) -> Config:
    """Return the recipe with blank data and a free step, in this process alone."""
    cfg = load_config(str(CONFIGS / training.config))
    evaluation = [f'{split}_{part}' for split in ('val', 'test') for part in ('cfg', 'dataloader', 'evaluator')]
    cfg.update(dict.fromkeys(evaluation), load_from=None, work_dir=folder, experiment_name=os.path.basename(folder))
    cfg._cfg_dict.pop('model')  # or the new one would be laid over it
    cfg.model = dict(type='FreeStep', scalars=training.scalars)
    loader = cfg.train_dataloader
    loader.pop('dataset')
    loader.update(
        dataset=dict(type='BlankDataset', samples=training.samples),
        num_workers=0,
        persistent_workers=False,
        pin_memory=False,
    )
    return cfg


def _measure(bench: Bench, name: str, training: Published) -> Rows:
    watch = _Watch((bench.args.repeat + 1) * WINDOW)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, 'w') as nowhere:
        with contextlib.redirect_stdout(nowhere):  # what a run prints goes to its log file as well
            runner = Runner.from_cfg(_config(training, folder))
            loop: Any = runner.train_loop
            for key in ('train/time', 'train/data_time', *(f'train/{scalar}' for scalar in training.scalars)):
                runner.message_hub.log_scalars[key] = HistoryBuffer(*np.ones((2, SETTLED)))
            for hook in runner.hooks:
                for moment in ('before_train_iter', 'after_train_iter'):
                    setattr(hook, moment, watch.part(type(hook).__name__, getattr(hook, moment)))
            loop.run_iter = watch.iteration(loop.run_iter)
            model: Any = runner.model
            model.train_step = watch.part('step', model.train_step)
            with contextlib.suppress(_Enough), warnings.catch_warnings():
                warnings.filterwarnings('ignore', message='Detected call of `scheduler.step', category=UserWarning)
                runner.train()
            for hook in runner.hooks:
                hook.after_run(runner)  # closes its files
            runner.visualizer.close()
        loader = loop.dataloader
        batches = loader.batch_sampler
        start = bench.seconds(lambda: next(iter(batches)))
    parts = watch.milliseconds()
    whole = parts.pop('sum') - parts.pop('step')
    return [
        (f'{name}: around a step', whole, 'ms'),
        *((f'{name}: {part}', value, 'ms') for part, value in sorted(parts.items(), key=lambda item: -item[1])),
        (f'{name}: first batch of an epoch', 1000 * start, 'ms'),
    ]
