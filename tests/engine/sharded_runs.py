"""Training runs of a small model whose parameters two ranks shard among them: what test_fsdp.py runs.

As a script, one process of several that torchrun has started: ``sharded_runs.py FOLDER``.
"""

import os
import signal
import sys

import mmengine
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import nn

from soho.engine import Runner
from soho.models.necks.visual_dictionary import VisualDictionary
from soho.registry import HOOKS, MODELS
from tests.engine.small_runs import small_config


class Layer(nn.Module):
    """A layer that is gathered by itself; seven rows are sharded four to three."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = nn.Linear(7, 7), nn.LayerNorm(7)

    def forward(self, x):
        return self.norm(x + self.inner(x).tanh())


@MODELS.register_module(force=True)
class ShardedModel(BaseModel):
    """Layers, batch-norm, a visual dictionary, and an output of one row, of which the second rank holds nothing."""

    def __init__(self):
        super().__init__(BaseDataPreprocessor())
        self.first, self.norm, self.last = nn.Linear(4, 7), nn.BatchNorm1d(7), nn.Linear(7, 1)
        self.vq = VisualDictionary(5, 7, unused_words='restart')
        self.layers = nn.ModuleList(Layer() for _ in range(2))

    def forward(self, x, index, mode='loss'):
        y = self.norm(self.first(x)).tanh()
        y = y + 0.1 * self.vq(y)[0]
        for layer in self.layers:
            y = layer(y)
        y = self.last(y)
        return dict(loss=(y.float() - x.sum(1, keepdim=True)).square().mean()) if mode == 'loss' else [dict(y=y)]


@HOOKS.register_module(force=True)
class StopAt(Hook):
    """Tells this process to stop in an iteration, counted from 1."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


@HOOKS.register_module(force=True)
class SaveAtOnce(Hook):
    """Saves what was loaded."""

    def before_train(self, runner):
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        runner.save_checkpoint(runner.work_dir, 'again.pth', meta=meta, sharded=True)


FSDP2 = dict(type='FSDP2', wrap=['Layer'])
OPTIMIZATION = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamWSGD', lr=0.01, momentum=0.9, adamw_weight_decay=0.01),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\Afirst\.': dict(opt='sgd')}),
    clip_grad=dict(max_norm=1.0),
    accumulative_counts=2,
)
HALF = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='Lookahead', optimizer='SGD', k=2, lr=0.02, momentum=0.9, fused=True),
    clip_grad=dict(max_norm=1.0),
)


def sharded_config(folder, ranks=2, wrapper=None, hook=None, iters=9, val=False, **changes):
    """Config of one of the ``ranks`` of a run of two samples an iteration, below ``folder``."""
    cfg = small_config(
        folder,
        iters=iters,
        batch_size=2 // ranks,
        grouped=False,
        ema=False,
        val=val,
        model=dict(type='ShardedModel'),
        sync_bn=True,
        launcher='none' if ranks == 1 else 'pytorch',
    )
    cfg.optim_wrapper = OPTIMIZATION
    cfg.default_hooks.checkpoint.interval = 100
    cfg.default_hooks.finite_loss = dict(type='FiniteLossHook', interval=3)
    cfg.default_hooks.runtime_info = dict(type='RuntimeInfoHook')
    if wrapper is not None:
        cfg.model_wrapper_cfg = wrapper
    if hook is not None:
        cfg.custom_hooks.append(hook)
    cfg.merge_from_dict(changes)
    return cfg


if __name__ == '__main__':
    torch.set_num_threads(1)
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)  # see conftest.py
    Runner.from_cfg(sharded_config(sys.argv[1], wrapper=FSDP2)).train()
