"""The whole training loop against its step alone."""
import time

from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner as MMEngineRunner

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.recipes import CONFIGS
from soho.engine import Runner, load_config
from soho.registry import DATASETS, FUNCTIONS

WARM_UP = 10  # iterations that do not count: workers start, memory is allocated


class _Clock(Hook):
    """When the warm-up was over and when the last iteration was."""

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
    """The training loop with its data, hooks and logging, against the same step on one batch that is there."""
    cfg = load_config(str(CONFIGS / 'demo' / 'vqa.py'))
    steps = 20 * bench.args.repeat
    cfg.update(load_from=None, work_dir=str(bench.args.out.parent / 'benchmark'),
               val_cfg=None, val_dataloader=None, val_evaluator=None,
               test_cfg=None, test_dataloader=None, test_evaluator=None, param_scheduler=None)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    cfg.default_hooks.checkpoint = None
    init_default_scope(cfg.default_scope)
    answers = DATASETS.build(cfg.train_dataloader.dataset).metainfo['label2ans']
    cfg.model.heads.vqa.num_answers = len(answers)  # a world of another size may have fewer
    runner = Runner.from_cfg(cfg)
    clock = _Clock(bench)
    runner.register_hook(clock, priority='LOWEST')
    runner.train()
    whole = (clock.ended - clock.started) / (steps - WARM_UP)
    dataset = runner.train_dataloader.dataset
    collate = dict(cfg.train_dataloader.collate_fn)
    make = FUNCTIONS.get(collate.pop('type'))
    landscape = [i for i, ratio in enumerate(dataset.aspect_ratio) if 1.2 < ratio < 1.4]
    batch = make([dataset[i] for i in landscape[:cfg.train_dataloader.batch_size]], **collate)
    alone = bench.seconds(lambda: runner.model.train_step(batch, runner.optim_wrapper))
    return [('demo fine-tuning: loop', 1000 * whole, 'ms a step'), ('demo fine-tuning: step alone', 1000 * alone, 'ms'),
            ('demo fine-tuning: loop against the step', 100 * alone / whole, '%')]
