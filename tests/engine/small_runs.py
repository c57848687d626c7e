"""Training runs of a tenth of a second that have all that a long one has: what the tests of exact resuming run.

Two samples at a time of 22, in two shapes; dropout, batch-norm, averaged weights, clipping, a schedule.

As a script, one process of several that tools/launch.sh has started, for many iterations: ``small_runs.py FOLDER``.
"""

import itertools
import json
import os
import struct
import sys

import mmengine.runner.runner
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import nn

from soho.datasets.sample_key import SampleKey
from soho.engine import Runner
from soho.engine.signals import stop_before_training
from soho.errors import exit_on_user_error
from soho.evaluation.evaluator import Metric
from soho.registry import DATASETS, HOOKS, METRICS, MODELS

SAMPLES = 22
_names = itertools.count()


class Killed(BaseException):
    """In place of SIGKILL: nothing of the run is asked any more."""


@DATASETS.register_module(force=True)
class SmallData(torch.utils.data.Dataset):
    """Vectors that depend on sample and epoch; ``decoded`` counts how many were made."""

    decoded = 0

    def __init__(self, samples=SAMPLES):
        self.aspect_ratio = np.where(np.arange(samples) % 3 == 0, 0.5, 1.5)[:, None]
        self.metainfo = {}

    def __len__(self):
        return len(self.aspect_ratio)

    def __getitem__(self, key):
        type(self).decoded += 1
        key = SampleKey.of(key)
        return dict(x=key.rng().standard_normal(4).astype(np.float32), index=key.index)


@MODELS.register_module(force=True)
class SmallModel(BaseModel):
    """A layer, batch-norm and dropout."""

    def __init__(self):
        super().__init__(BaseDataPreprocessor())
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)

    def forward(self, x, index, mode='loss'):
        y = self.last(nn.functional.dropout(self.norm(self.first(x)).relu(), 0.3, self.training))
        return dict(loss=(y.float() - x.sum(1, keepdim=True)).square().mean()) if mode == 'loss' else [dict(y=y)]


@METRICS.register_module(force=True)
class SmallScore(Metric):
    """The largest output, and a random number, as a metric may use one."""

    def process(self, data_batch, prediction):
        self.results.append(float(prediction['y'].max()))

    def compute_metrics(self, results):
        return dict(score=max(results) + float(torch.rand(())))


@HOOKS.register_module(force=True)
class Record(Hook):
    """Keeps the samples of each iteration, and kills the run in iteration ``kill`` (counted from 0).

    Several ranks write them to files of the work dir. How many iterations this process has begun is in the first eight
    bytes of ``progress``, memory that another process may read.
    """

    priority = 'VERY_HIGH'
    seen: dict = {}
    progress = bytearray(8)

    def __init__(self, kill=None):
        self.kill = kill

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        struct.pack_into('q', self.progress, 0, struct.unpack_from('q', self.progress)[0] + 1)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.world_size > 1 or 'samples0.txt' in os.listdir(runner.work_dir):
            with open(f'{runner.work_dir}/samples{runner.rank}.txt', 'a') as file:
                file.write(json.dumps([runner.iter, data_batch['index'].tolist()]) + '\n')
            return
        self.seen.setdefault(runner.iter, data_batch['index'].tolist())
        assert self.seen[runner.iter] == data_batch['index'].tolist(), 'other samples than before'
        if runner.iter == self.kill:
            raise Killed


def small_config(folder, iters=None, epochs=3, kill=None, batch_size=2, grouped=True, ema=True, val=False, **changes):
    """Config of a run in ``folder``; dotted ``changes``."""
    loader = dict(dataset=dict(type='SmallData'), collate_fn=dict(type='default_collate'), num_workers=0)
    grouping = dict(batch_sampler=dict(type='AspectRatioBatchSampler')) if grouped else {}
    loop = (
        dict(type='IterBasedTrainLoop', max_iters=iters)
        if iters
        else dict(type='EpochBasedTrainLoop', max_epochs=epochs)
    )
    cfg = dict(
        default_scope='soho',
        work_dir=str(folder),
        experiment_name=f'small{next(_names)}',
        randomness=dict(seed=3, diff_rank_seed=True),
        model=dict(type='SmallModel'),
        train_dataloader=dict(loader, batch_size=batch_size, sampler=dict(type='EpochSampler'), **grouping),
        train_cfg=loop,
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
            clip_grad=dict(max_norm=5.0),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
            dict(type='CosineAnnealingLR', T_max=40, eta_min=1e-4, by_epoch=False),
        ],
        default_hooks=dict(
            sampler_seed=dict(type='DistSamplerSeedHook'),
            logger=dict(type='LoggerHook', interval=4),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=2),
        ),
        custom_hooks=[dict(type='Record', kill=kill), *([dict(type='EMAHook')] if ema else [])],
        resume='auto',
        visualizer=dict(type='Visualizer'),
    )
    if val:
        evaluation = dict(loader, batch_size=5, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
        cfg.update(val_dataloader=evaluation, val_evaluator=dict(type='SmallScore'), val_cfg=dict(type='ValLoop'))
        cfg['default_hooks']['checkpoint'].update(save_best='score', rule='greater')
    cfg = Config(cfg)
    cfg.merge_from_dict(changes)
    return cfg


def train(folder, **options):
    """The runner of a training to its end."""
    runner = Runner.from_cfg(small_config(folder, **options))
    runner.train()
    return runner


def train_with_kills(folder, kills, **options):
    """The runner that comes to the end of a training that is killed at iterations, one after the other."""
    for kill in kills:
        try:
            train(folder, kill=kill, **options)
        except Killed:
            pass
    return train(folder, **options)


if __name__ == '__main__':
    torch.set_num_threads(1)
    mmengine.runner.runner.collect_env = dict
    config = small_config(
        sys.argv[1],
        iters=10**6,
        grouped=False,
        launcher='pytorch',
        sync_bn=True,
        **{'default_hooks.checkpoint.interval': 10**6, 'default_hooks.logger.interval': 10**6},
    )
    with exit_on_user_error(), stop_before_training():
        Runner.from_cfg(config).train()
