"""Training loop against its step alone."""

import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner as MMEngineRunner
from torch import Tensor

from soho.engine import Runner, load_config
from soho.paths import CONFIGS
from soho.registry import DATASETS
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.recipes import pictures, precision
from tools.benchmark.training import title

WARM_UP = 10  # discarded iterations, in which workers start and memory is allocated


class _Clock(Hook):
    """Times at the end of the warm-up and of the last iteration."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.started = self.ended = 0.0

    def after_train_iter(self, runner: MMEngineRunner, *args, **kwargs) -> None:
        if runner.iter + 1 == WARM_UP:
            self.bench.sync()
            self.started = time.perf_counter()
        elif runner.iter + 1 == runner.max_iters:
            self.bench.sync()
            self.ended = time.perf_counter()


def loop(bench: Bench) -> Rows:
    """Measure the demo's fine-tuning and the published pretraining on synthetic data or ``--photos``."""
    init_default_scope('soho')
    demo = _fine_tuning(bench)
    return [
        *_compare(bench, f'demo fine-tuning in {demo.optim_wrapper.dtype}', demo, 20 * bench.args.repeat),
        *_compare(bench, title(bench, 'pretrain'), _pretraining(bench), 4 * bench.args.repeat),
    ]


def _fine_tuning(bench: Bench) -> Config:
    cfg = load_config(str(CONFIGS / 'demo' / 'vqa.py'), bench.args.cfg_options)
    answers = DATASETS.build(cfg.train_dataloader.dataset).metainfo['class_names']
    cfg.model.heads.vqa.num_classes = len(answers)  # a data set of another size may have fewer
    return cfg


def _pretraining(bench: Bench) -> Config:
    args = bench.args
    cfg = load_config(str(CONFIGS / 'Pretrain' / 'soho_res18_pre.py'), args.cfg_options)
    photos, captions, vocabulary = pictures(args)
    cfg.model.backbone.init_cfg = cfg.model.language.pretrained = None
    for of_float16 in ('dtype', 'loss_scale'):
        cfg.optim_wrapper.pop(of_float16)
    cfg.optim_wrapper.update(precision(args))
    dataset = cfg.train_dataloader.dataset.datasets[0]
    dataset.update(data_root='', images=photos, ann_file=captions, sentence_group=args.sentences)
    for step in dataset.pipeline:
        if 'tokenizer' in step:
            step.tokenizer.vocab = vocabulary
        if step.type == 'ResizeKeepRatio':
            step.scale = (max(args.size), min(args.size))
    cfg.train_dataloader.dataset = dataset
    cfg.train_dataloader.batch_size = args.images
    return cfg


def _compare(bench: Bench, name: str, cfg: Config, steps: int) -> Rows:
    """Compare the loop with data, hooks and logging to the same steps on batches in memory."""
    cfg.update(
        load_from=None,
        work_dir=str(bench.args.out.parent / 'benchmark'),
        param_scheduler=None,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        test_cfg=None,
        test_dataloader=None,
        test_evaluator=None,
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=WARM_UP + steps)
    cfg.default_hooks.checkpoint = None
    cfg.compile = bench.args.compile
    runner = Runner.from_cfg(cfg)
    clock = _Clock(bench)
    runner.register_hook(clock, priority='LOWEST')
    runner.train()
    whole = (clock.ended - clock.started) / steps
    loader: Any = runner.train_dataloader
    keys = islice(cycle(loader.batch_sampler), WARM_UP, WARM_UP + steps)
    batches = cycle([_pin(bench, loader.collate_fn([loader.dataset[key] for key in batch])) for batch in keys])
    _train(runner, batches, WARM_UP)
    bench.sync()
    started = time.perf_counter()
    _train(runner, batches, steps)
    bench.sync()
    alone = (time.perf_counter() - started) / steps
    return [
        (f'{name}: loop', 1000 * whole, 'ms a step'),
        (f'{name}: step alone', 1000 * alone, 'ms'),
        (f'{name}: loop against the step', 100 * alone / whole, '%'),
    ]


def _pin(bench: Bench, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the batch in pinned memory on a GPU, as the loader does."""
    return {key: value.pin_memory() for key, value in batch.items()} if bench.device.type == 'cuda' else batch


def _train(runner: MMEngineRunner, batches: Iterator[dict[str, Tensor]], steps: int) -> None:
    """Take training steps."""
    for batch in islice(batches, steps):
        runner.model.train_step(batch, runner.optim_wrapper)
