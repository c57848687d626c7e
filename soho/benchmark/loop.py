"""The whole training loop against its step alone."""
import time

from mmengine.registry import init_default_scope

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.recipes import CONFIGS
from soho.engine import Runner, load_config
from soho.registry import DATASETS, FUNCTIONS


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
    started = time.perf_counter()
    runner.train()
    bench.sync()
    whole = (time.perf_counter() - started) / steps
    dataset = runner.train_dataloader.dataset
    collate = dict(cfg.train_dataloader.collate_fn)
    make = FUNCTIONS.get(collate.pop('type'))
    landscape = [i for i, ratio in enumerate(dataset.aspect_ratio) if 1.2 < ratio < 1.4]
    batch = make([dataset[i] for i in landscape[:cfg.train_dataloader.batch_size]], **collate)
    alone = bench.seconds(lambda: runner.model.train_step(batch, runner.optim_wrapper))
    return [('demo fine-tuning: loop', 1000 * whole, 'ms a step'), ('demo fine-tuning: step alone', 1000 * alone, 'ms'),
            ('demo fine-tuning: loop against the step', 100 * alone / whole, '%')]
