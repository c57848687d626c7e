"""A step whose loss or gradient is no number changes nothing; it is said, and many end the run with what was good."""

import re
from math import isfinite
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from soho.engine import Runner
from soho.engine.checkpoint.save import nonfinite_tensors
from soho.engine.hooks.dictionary_usage import dictionary_usage
from soho.engine.hooks.finite_loss import FiniteLossHook
from soho.engine.optimizers import AdamWLARS, AdamWSGD, Lookahead
from soho.engine.optimizers.optim_wrapper import AmpOptimWrapper, OptimWrapper
from soho.engine.optimizers.skipping import step_unless
from soho.errors import TrainingError
from soho.models.necks.visual_dictionary import VisualDictionary
from soho.registry import HOOKS, MODELS
from tests.engine.sharded_runs import sharded_config
from tests.engine.small_runs import SAMPLES, Killed, Record, SmallModel, small_config
from tests.engine.soak import differences, saved_state
from tests.host_reads import HostReads

OPTIMIZERS = {
    'AdamW fused': lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    'AdamW': lambda p: torch.optim.AdamW(p, lr=0.1),
    'SGD': lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    'SGD fused': lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, fused=True),
    'AdamWSGD': lambda p: AdamWSGD(
        [dict(params=p[:1]), dict(params=p[1:], opt='sgd')], lr=0.1, adamw_weight_decay=0.1, momentum=0.9
    ),
    'AdamWLARS': lambda p: AdamWLARS(
        [dict(params=p[:1]), dict(params=p[1:], opt='lars')], lr=0.1, adamw_weight_decay=0.1, momentum=0.9
    ),
    'Lookahead': lambda p: Lookahead(p, 'SGD', k=100, lr=0.1, momentum=0.9, fused=True),
}


def tensors(optimizer, params):
    """Parameters and the state of the optimizer, copied."""
    found = {f'parameter {i}': p.detach().clone() for i, p in enumerate(params)}
    for i, p in enumerate(params):
        state = optimizer.state.get(p, {})
        found |= {f'{name} {i}': value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)}
    return found


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_a_skipped_step_changes_no_tensor_and_another_is_as_without_the_guard(name):
    torch.manual_seed(0)
    values, grads = [torch.randn(3, 4), torch.randn(5)], [[torch.randn(3, 4), torch.randn(5)] for _ in range(3)]
    runs = []
    for guarded in (True, False):
        params = [nn.Parameter(value.clone()) for value in values]
        optimizer = OPTIMIZERS[name](params)
        for number, of_step in enumerate(grads):
            bad = torch.tensor(False)
            for again in (True, False) if guarded else (False,):
                for p, grad in zip(params, of_step):
                    p.grad = grad * float('nan') if again else grad.clone()
                if not guarded:
                    optimizer.step()
                    continue
                before = tensors(optimizer, params)
                with HostReads(refuse=name != 'AdamW'):  # whose count of steps is a tensor on the host
                    step_unless(bad | again, optimizer)
                after = tensors(optimizer, params)
                if again:
                    assert all(value.isfinite().all() for value in after.values())
                    assert all(after[key].equal(value) for key, value in before.items()), f'step {number}'
        runs.append(tensors(optimizer, params))
    if name in ('AdamWSGD', 'AdamWLARS'):  # whose count of steps, which the host keeps, is ahead
        runs = [{key: value for key, value in run.items() if key.endswith('1')} for run in runs]
    if name != 'Lookahead':
        assert all(runs[0][key].equal(value) for key, value in runs[1].items())


@pytest.mark.parametrize('fused', [False, True])
def test_the_slow_weights_of_lookahead_outlive_a_skipped_step(fused):
    parameter = nn.Parameter(torch.ones(3))
    optimizer = Lookahead([parameter], 'SGD', k=1, lr=0.1, momentum=0.9, fused=fused)
    for factor in (float('nan'), 1.0):
        parameter.grad = torch.full((3,), factor)
        step_unless(torch.tensor(factor != factor), optimizer)
    assert optimizer.slow is not None and optimizer.slow[0].equal(parameter) and parameter.isfinite().all()


@pytest.mark.parametrize('clip', [None, dict(max_norm=1.0), dict(type='value', clip_value=1.0)], ids=str)
@pytest.mark.parametrize('what', ['loss', 'gradient', 'accumulated'])
def test_an_update_with_anything_that_is_no_number_is_skipped(clip, what):
    parameter = nn.Parameter(torch.ones(3))
    update = OptimWrapper(torch.optim.SGD([parameter], lr=0.1), accumulative_counts=2, clip_grad=clip and dict(clip))
    losses = [parameter.sum(), parameter.sum()]
    if what == 'loss':
        losses[1] = losses[1] + float('inf')  # its gradient is 1
    elif what == 'gradient':
        losses[1] = parameter.detach().sum() + (parameter - 1).square().sum().sqrt()  # whose slope at 0 is 0 / 0
    else:
        losses[0] = losses[0] * float('nan')
    for loss in losses:
        update.update_params(loss)
    assert parameter.equal(torch.ones(3)) and update.take_skipped().item() and update.take_skipped() is None
    for _ in range(2):
        update.update_params(parameter.sum())
    assert not parameter.equal(torch.ones(3)) and not update.take_skipped().item()


def test_an_overflow_that_lowers_the_scale_is_no_fault():
    parameter = nn.Parameter(torch.zeros(3))
    update = AmpOptimWrapper(
        dtype='float16',
        loss_scale=dict(init_scale=2.0**96),
        optimizer=torch.optim.SGD([parameter], lr=0.1),
        clip_grad=dict(max_norm=1.0),
    )
    for _ in range(3):
        assert parameter.equal(torch.zeros(3))
        update.update_params(parameter.sum() * 1e10)  # 2^94 times as much is below the largest float32
        assert not update.take_skipped()
    assert parameter.isfinite().all() and parameter.all()


def half_precision_update(parameter):
    return AmpOptimWrapper(
        dtype='float16',
        loss_scale=dict(init_scale=4.0),
        optimizer=torch.optim.SGD([parameter], lr=0.1),
        clip_grad=dict(max_norm=1.0),
    )


def test_a_loss_that_is_no_number_is_skipped_with_a_loss_scale_too():
    parameter = nn.Parameter(torch.ones(3))
    update = half_precision_update(parameter)
    update.update_params(parameter.sum() + float('inf'))  # its gradient is 1
    assert update.take_skipped().item() and parameter.equal(torch.ones(3))
    update.update_params(parameter.sum())
    assert not update.take_skipped().item() and not parameter.equal(torch.ones(3))


def test_ranks_agree_on_a_skipped_update_with_a_loss_scale(monkeypatch):
    monkeypatch.setattr('soho.engine.optimizers.optim_wrapper.get_world_size', lambda: 2)
    # another rank's loss is no number
    monkeypatch.setattr('soho.engine.optimizers.optim_wrapper.all_reduce', lambda tensor, op: tensor.fill_(1.0))
    parameter = nn.Parameter(torch.ones(3))
    update = half_precision_update(parameter)
    update.update_params(parameter.sum())
    assert update.take_skipped().item() and parameter.equal(torch.ones(3))


@HOOKS.register_module(force=True)
class Spoil(Hook):
    """Puts a number, by default an infinite one, into the data of iterations (counted from 1)."""

    priority = 'VERY_HIGH'

    def __init__(self, iterations, value=float('inf')):
        self.iterations, self.value = iterations, value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 in self.iterations:
            data_batch['x'][0, 0] = self.value


@MODELS.register_module(force=True)
class AddingModel(SmallModel):
    """Adds a number to its loss, which changes no gradient."""

    added = 0.0

    def forward(self, x, index, mode='loss'):
        outputs = super().forward(x, index, mode)
        return dict(loss=outputs['loss'] + self.added) if mode == 'loss' else outputs


@HOOKS.register_module(force=True)
class SpoilLoss(Hook):
    """Makes the loss of an iteration (counted from 1) infinite, and no gradient."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.added = float('inf') if runner.iter + 1 == self.iteration else 0.0


@HOOKS.register_module(force=True)
class Keep(Hook):
    """Keeps the model after each iteration."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.states = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append({name: value.clone() for name, value in runner.model.state_dict().items()})


def spoiled(folder, iterations, iters=20, interval=50, max_skipped=10, **changes):
    cfg = small_config(folder, iters=iters, ema=False, **changes)
    cfg.custom_hooks += [
        dict(type='Spoil', iterations=iterations),
        dict(type='FiniteLossHook', interval=interval, max_skipped=max_skipped),
        dict(type='Keep'),
    ]
    runner = Runner.from_cfg(cfg)
    return runner, next(hook for hook in runner.hooks if isinstance(hook, Keep))


def log(folder):
    return ''.join(path.read_text() for path in Path(folder).glob('*/*.log'))


NEVER = {'default_hooks.checkpoint.interval': 100}


def test_a_bad_batch_leaves_model_and_statistics_and_is_named(tmp_path):
    runner, keep = spoiled(tmp_path, [7], **NEVER)
    runner.train()
    before, after, last = keep.states[5], keep.states[6], keep.states[-1]
    assert all(after[name].equal(value) for name, value in before.items() if name != 'norm.num_batches_tracked')
    assert all(value.isfinite().all() for value in last.values())
    assert any(not last[name].equal(value) for name, value in before.items())
    samples = ', '.join(map(str, Record.seen[6]))
    assert f'no number in iteration 7: the update was skipped (epoch 1, samples {samples} of train_dataloader)' in log(
        tmp_path
    )
    assert runner.message_hub.get_scalar('train/skipped_updates').current() == 1


@pytest.mark.parametrize('scaled', [False, True], ids=['float32', 'float16'])
@pytest.mark.parametrize(
    'hook', [dict(type='SpoilLoss', iteration=3), dict(type='Spoil', iterations=[3])], ids=lambda hook: hook['type']
)
def test_what_spoils_an_update_outlives_a_kill_within_it(hook, scaled, tmp_path):
    """The first of two iterations; what is saved between them holds numbers only, and is skipped all the same."""
    options: dict = {'optim_wrapper.accumulative_counts': 2, 'model.type': 'AddingModel', 'ema': False, 'iters': 8}
    if scaled:
        options |= {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'float16'}

    def run(folder, kill=None):
        cfg = small_config(folder, kill=kill, **options)
        cfg.custom_hooks += [hook, dict(type='FiniteLossHook')]
        Runner.from_cfg(cfg).train()

    run(tmp_path / 'whole')
    with pytest.raises(Killed):
        run(tmp_path / 'broken', kill=3)
    saved = torch.load(tmp_path / 'broken' / 'iter_3.pth', weights_only=True)
    assert len(saved['gradients']) == 1 and not nonfinite_tensors(saved['gradients'])
    run(tmp_path / 'broken')
    assert not differences(saved_state(tmp_path / 'broken'), saved_state(tmp_path / 'whole'))
    assert 'no number in iteration 4' in log(tmp_path / 'broken')


def test_the_samples_of_each_bad_batch_are_named(tmp_path):
    """Two iterations an update: of three that are skipped, one for its first batch."""
    spoiled(tmp_path, [3, 6, 9, 10], iters=12, **NEVER, **{'optim_wrapper.accumulative_counts': 2})[0].train()
    named = '; '.join(
        f'iteration {i}, epoch 1, samples {", ".join(map(str, Record.seen[i - 1]))}' for i in (3, 6, 9, 10)
    )
    assert f'in iterations 4, 6, 10: the update was skipped ({named} of train_dataloader)' in log(tmp_path)


@pytest.mark.parametrize('loss', [float('nan'), 1.0], ids=['loss', 'gradient'])
def test_the_rank_of_a_bad_batch_is_named(loss, monkeypatch):
    """Rank 0 speaks for both: its own loss is a number, and its batch is to blame where both losses are."""
    said, answers = [], [[[[1.0]], [[loss]]], [[[3, 5], [7, 9]][: 1 if loss == 1 else 0] + [[]], [[7, 9]] * 2]]
    monkeypatch.setattr('soho.engine.hooks.finite_loss.all_gather_object', lambda value: answers.pop(0))
    runner: Any = SimpleNamespace(
        world_size=2, rank=0, train_loop=SimpleNamespace(samples_of=lambda epoch, number: [3, 5]), max_iters=9,
        message_hub=SimpleNamespace(update_info=lambda *args: None, update_scalar=lambda *args: None),
        logger=SimpleNamespace(warning=said.append),
    )  # fmt: skip
    hook = FiniteLossHook()
    hook._waiting = [(1, (0, 0), torch.tensor(True), torch.tensor(1.0))]
    hook.before_gather_state(runner)
    first = 'iteration 1, rank 0, epoch 1, samples 3, 5; iteration 1, rank 1' if loss == 1 else 'rank 1'
    assert said[0].endswith(f'the update was skipped ({first}, epoch 1, samples 7, 9 of train_dataloader)')


@pytest.mark.parametrize('interval', [1, 50])
def test_too_many_in_a_row_end_the_run_with_the_last_good_checkpoint(interval, tmp_path):
    runner, _ = spoiled(
        tmp_path, range(8, 21), interval=interval, max_skipped=5, **{'default_hooks.checkpoint.interval': 6}
    )
    with pytest.raises(TrainingError, match=r'loss is (inf|nan) at iteration 12: training stopped; the last 5 updates'):
        runner.train()
    names = {path.name for path in tmp_path.glob('*.pth')}
    assert 'iter_6.pth' in names and names <= {'iter_6.pth', 'iter_12.pth'}
    state = torch.load(tmp_path / 'iter_6.pth', weights_only=True)
    assert all(value.isfinite().all() for value in state['state_dict'].values())


def test_updates_in_a_row_are_counted_over_a_kill(tmp_path):
    options: dict = {'default_hooks.checkpoint.interval': 2, 'max_skipped': 5, 'iters': 12}
    with pytest.raises(Killed):
        spoiled(tmp_path, range(4, 13), kill=6, **options)[0].train()
    with pytest.raises(TrainingError, match='at iteration 8: training stopped; the last 5 updates were skipped'):
        spoiled(tmp_path, range(4, 13), **options)[0].train()


def test_a_run_that_ends_without_learning_does_not_end_well(tmp_path):
    runner, _ = spoiled(tmp_path, range(17, 21), **NEVER)
    with pytest.raises(TrainingError, match='at iteration 20: training stopped; the last 4 updates were skipped'):
        runner.train()


def test_a_loss_that_jumps_is_said(tmp_path):
    runner, _ = spoiled(tmp_path, [])
    hook = FiniteLossHook()
    for loss in [1.0, 1.1, 0.9, 1.05] * 15:
        hook._report_jump(runner, 1, None, loss)
    assert 'the loss jumps' not in log(tmp_path)
    hook._report_jump(runner, 61, None, 9.0)
    assert re.search(r'the loss jumps from 1\.01\d*, the mean of 60 iterations, to 9 in iteration 61', log(tmp_path))


def test_the_samples_of_any_batch_are_found_again(tmp_path):
    runner, _ = spoiled(tmp_path, [], iters=30, **NEVER)
    runner.train()
    seen, batches = Record.seen, len(runner.train_dataloader)
    assert batches == SAMPLES // 2
    assert [runner.train_loop.samples_of(*divmod(i, batches)) for i in range(30)] == [seen[i] for i in range(30)]


def test_the_guard_waits_for_no_device(tmp_path):
    runner, _ = spoiled(tmp_path, [3], iters=4, interval=50, **NEVER)
    found = []

    class Watch(Hook):
        priority = 'LOWEST'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            hook = next(hook for hook in runner.hooks if isinstance(hook, FiniteLossHook))
            batch = dict(x=torch.randn(2, 4), index=torch.arange(2))
            with HostReads(refuse=False) as guard:
                hook.before_train_iter(runner, 0, batch)
                hook._repair_statistics()
                runner.model.train_step(batch, runner.optim_wrapper)
            found.append(guard.found)

    runner.register_hook(Watch())
    runner.train()
    assert found and not set().union(*found)


def test_tensorboard_shows_what_the_guards_have_seen(tmp_path):
    """A step that is skipped, a loss that jumps, and how much of the dictionary is in use."""
    cfg = sharded_config(tmp_path, ranks=1, iters=72)
    cfg.merge_from_dict(
        {
            'sync_bn': False,
            'default_hooks.logger.interval': 2,
            'default_hooks.usage': dict(type='DictionaryUsageHook'),
            'log_processor': dict(window_size=1),
            'optim_wrapper': dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-4)),
            'visualizer': dict(type='Visualizer', vis_backends=[dict(type='TensorboardVisBackend')]),
        }
    )
    cfg.custom_hooks += [dict(type='Spoil', iterations=[5]), dict(type='Spoil', iterations=[64], value=1e3)]
    Runner.from_cfg(cfg).train()
    events = EventAccumulator(str(next(tmp_path.glob('*/vis_data'))))
    events.Reload()

    def values(name):
        return {event.step: event.value for event in events.Scalars(name)}

    assert values('skipped_updates')[8] == 1 and values('loss_jumps')[72] == 1
    losses = values('loss')
    assert losses[64] > 100 * max(loss for step, loss in losses.items() if step < 64 and isfinite(loss))
    used, dead, perplexity = (values(f'dictionary_{name}') for name in ('used_words', 'dead_words', 'perplexity'))
    assert len(used) == 36 and all(1 <= used[step] and used[step] + dead[step] == 5 for step in used)
    assert all(1 <= value <= 5.001 for value in perplexity.values())


def test_usage_of_a_dictionary():
    dictionary = VisualDictionary(num_words=4, dim=3)
    for counts, used, perplexity in (
        ([1, 1, 1, 1], 4, 4.0),
        ([5, 0, 0, 0], 1, 1.0),
        ([1, 1, 0, 0], 2, 2.0),
        ([0] * 4, 0, 1.0),
    ):
        dictionary.cluster_size = torch.tensor(counts, dtype=torch.float32)
        assert dictionary_usage(dictionary).tolist() == pytest.approx([used, perplexity])


def test_a_pretraining_logs_its_dictionary(run_training):
    usage = {'custom_hooks': [dict(type='DictionaryUsageHook')]}
    runner = run_training('pretrain', iters=2, **usage)
    scalars = runner.message_hub.log_scalars
    used, dead = (scalars[f'train/dictionary_{name}_words'].current() for name in ('used', 'dead'))
    assert used + dead == 8 and 1 <= scalars['train/dictionary_perplexity'].current() <= 8
    assert 'dictionary_perplexity: ' in log(runner.work_dir)
