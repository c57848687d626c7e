"""Losses and norms are read seldom, and no history is lost."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import LogProcessor

from soho.engine import Runner
from soho.engine.checkpoint.plain_data import from_plain, to_plain
from soho.engine.hooks.runtime_info import RuntimeInfoHook, history_length


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


def runner_with(custom_cfg=(), **options):
    loops = {name: SimpleNamespace(dataloader=range(length)) for name, length in dict(train=6000, val=7000).items()}
    return SimpleNamespace(
        message_hub=MessageHub('hub'),
        log_processor=LogProcessor(window_size=50, custom_cfg=list(custom_cfg), **options),
        train_loop=loops['train'],
        val_loop=loops['val'],
    )


def test_a_long_run_keeps_a_short_history():
    hook, runner = RuntimeInfoHook(), runner_with()
    values = torch.rand(100_000, dtype=torch.float64)
    for part in values.split(50):
        hook._waiting = [(name, value) for value in part for name in ('loss', 'grad_norm')]
        hook._flush_scalars(runner)
        assert runner.message_hub.get_scalar('train/loss').mean(50) == np.mean(part.numpy())
    saved = io.BytesIO()
    torch.save(to_plain(runner.message_hub.state_dict()), saved)
    assert saved.tell() < 50_000


def test_a_history_reaches_as_far_back_as_the_log_processor_looks():
    options = [
        dict(data_src='loss', window_size=3000, method_name='mean'),
        dict(data_src='loss', log_name='last', method_name='current'),
        dict(data_src='time', window_size='epoch', method_name='mean'),
        dict(data_src='acc', window_size='global', method_name='max'),
    ]
    runner = runner_with(options)
    lengths = {'train/loss': 3000, 'train/time': 6000, 'train/acc': 1_000_000, 'train/lr': 1000, 'val/data_time': 7000}
    assert {key: history_length(runner, key) for key in lengths} == lengths


def test_an_old_checkpoint_is_cut_when_a_run_resumes():
    runner = runner_with()
    history = np.arange(200_000.0)
    old = dict(
        log_scalars={'train/loss': HistoryBuffer(history, np.ones_like(history))},
        runtime_info={},
        resumed_keys={'train/loss': True},
    )
    runner.message_hub.load_state_dict(old)
    RuntimeInfoHook()._bound_histories(runner)
    kept, counts = runner.message_hub.get_scalar('train/loss').data
    assert kept.tolist() == history[-1000:].tolist() and len(counts) == 1000 and kept.base is None
