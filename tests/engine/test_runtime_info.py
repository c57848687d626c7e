"""Losses and norms are read seldom, and no history is lost."""

import json

import pytest
import torch
from mmengine.hooks import Hook

from soho.engine import Runner
from soho.engine.checkpoint.plain import from_plain


def history(runner, name):
    return list(runner.message_hub.get_scalar(f'train/{name}').data[0])


@pytest.mark.parametrize('epochs, iters', [(2, None), (1, 7)])
def test_the_history_is_the_same(epochs, iters, run_training):
    runs = [
        run_training(
            'vqa',
            epochs=epochs,
            iters=iters,
            **{'default_hooks.runtime_info': dict(type='RuntimeInfoHook', interval=interval)},
        )
        for interval in (1, 3)
    ]
    for name in ('loss', 'loss_vqa', 'score', 'grad_norm'):
        often, seldom = (history(run, name) for run in runs)
        assert seldom == often and len(often) == runs[0].iter


def test_a_checkpoint_between_the_intervals_has_it_whole(run_training):
    runner = run_training(
        'vqa',
        iters=5,
        **{
            'default_hooks.runtime_info': dict(type='RuntimeInfoHook', interval=4),
            'default_hooks.checkpoint': dict(type='CheckpointHook', by_epoch=False, interval=3),
        },
    )
    saved = torch.load(f'{runner.work_dir}/iter_3.pth', weights_only=True)
    scalars = from_plain(saved['message_hub'])['log_scalars']
    for name in ('loss', 'grad_norm'):
        assert list(scalars[f'train/{name}'].data[0]) == history(runner, name)[:3]


def test_losses_are_read_when_the_logger_prints_them(run_training):
    runner = run_training('vqa', iters=4, **{'default_hooks.logger.interval': 2})
    lines = [json.loads(line) for line in open(f'{runner.log_dir}/vis_data/scalars.json')]
    assert [line['step'] for line in lines if 'loss' in line] == [2, 4]


def test_between_the_intervals_nobody_asks_the_device(tiny_config, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, 'item', lambda self: asked.append('item') or self.tolist())
    monkeypatch.setattr(torch.Tensor, '__float__', lambda self: asked.append('float') or self.tolist())

    class Count(Hook):
        priority = 'VERY_LOW'
        counts = []

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.counts.append(len(asked))

    runner = Runner.from_cfg(
        tiny_config(
            'vqa',
            iters=5,
            **{
                'default_hooks.runtime_info': dict(type='RuntimeInfoHook', interval=10),
                'default_hooks.logger.interval': 10,
            },
        )
    )
    runner.register_hook(Count())
    runner.train()
    assert len(Count.counts) == 5 and Count.counts[3] == Count.counts[0]
