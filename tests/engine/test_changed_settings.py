"""A run that goes on with other settings: each applies, with a word in the log, or is refused in one sentence."""

import os
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from soho.engine import Runner
from soho.engine.checkpoint.errors import SettingsMismatchError
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint
from soho.registry import DATASETS
from tests.engine.small_runs import Killed, Record, SmallData, small_config, train


@pytest.fixture
def log(tmp_path):
    return lambda: ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))


def go_on(folder, before, after, kill=6, iters=8):
    """Kill a run in its iteration ``kill`` (from 0) and go on with other settings; returns the runner."""
    before, after = ({name: Config(dict(x=value)).x for name, value in some.items()} for some in (before, after))
    with pytest.raises(Killed):
        train(folder, iters=iters, kill=kill, **before)
    Record.seen.clear()
    return train(folder, iters=iters, **after)


def forget(folder, *names):
    """Take entries out of all checkpoints, which older ones do not have."""
    for path in folder.glob('iter_*.pth'):
        checkpoint = read_checkpoint(str(path))
        loop = {name: value for name, value in checkpoint['loop'].items() if name not in names}
        kept = {name: value for name, value in checkpoint.items() if name not in names}
        torch.save(dict(kept, loop=loop), path)


OPTIMIZER = 'optim_wrapper.optimizer'


def optimizer(kind, **options):
    return {OPTIMIZER: dict(_delete_=True, type=kind, lr=0.02, **options)}


LOOKAHEAD = optimizer('Lookahead', optimizer='SGD', k=3, momentum=0.9)
OTHERS = {
    'SGD to AdamW': ({}, optimizer('AdamW'), 'the optimizer SGD, and optim_wrapper of the config is of AdamW'),
    'AdamW to SGD': (optimizer('AdamW'), {}, 'the optimizer AdamW, and optim_wrapper of the config is of SGD'),
    'AdamW to RMSprop': (optimizer('AdamW'), optimizer('RMSprop'), 'AdamW, and .* is of RMSprop'),
    'to Lookahead': ({}, LOOKAHEAD, 'the optimizer SGD, and .* is of Lookahead around SGD'),
    'from Lookahead': (LOOKAHEAD, {}, 'the optimizer Lookahead around SGD, and .* is of SGD'),
}


@pytest.mark.parametrize('known', [True, False], ids=['said', 'found'])
@pytest.mark.parametrize('case', OTHERS)
def test_another_optimizer_is_refused(case, known, tmp_path):
    """Also where the checkpoint does not say whose state it holds, as older ones."""
    before, after, message = OTHERS[case]
    with pytest.raises(Killed):
        train(tmp_path, iters=4, kill=3, **before)
    if not known:
        forget(tmp_path, 'kinds')
        message = (
            r'iter_3.pth is nothing to go on from: optimizer\S* has (no )?.*begin anew from its weights \(load_from'
        )
    with pytest.raises(CheckpointError, match=message) as info:
        train(tmp_path, iters=4, **after)
    assert isinstance(info.value, SettingsMismatchError) is known and '\n' not in str(info.value)


def test_an_older_checkpoint_of_the_same_optimizer_goes_on(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, iters=6, kill=3)
    forget(tmp_path, 'kinds', 'order')
    assert train(tmp_path, iters=6).iter == 6


def test_a_setting_that_wants_more_state_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match='optimizer.state.0 has no max_exp_avg_sq, which a AdamW with the sett'):
        go_on(tmp_path, optimizer('AdamW'), optimizer('AdamW', amsgrad=True))


@pytest.mark.parametrize(
    'before, after, names',
    [
        (optimizer('AdamW', amsgrad=True), optimizer('AdamW'), {'step', 'exp_avg', 'exp_avg_sq'}),
        ({}, {f'{OPTIMIZER}.momentum': 0.0}, set()),
        ({f'{OPTIMIZER}.momentum': 0.0}, {}, {'momentum_buffer'}),
    ],
    ids=['amsgrad off', 'momentum off', 'momentum on'],
)
def test_a_setting_that_wants_less_state_applies(before, after, names, tmp_path, log):
    runner = go_on(tmp_path, before, after)
    assert {name for entry in runner.optim_wrapper.optimizer.state.values() for name in entry} == names
    assert 'has no momentum_buffer yet, which begins anew' in log() or 'momentum_buffer' not in names


@pytest.mark.parametrize(
    'after, message',
    [
        ([0], 'the state of LinearLR, CosineAnnealingLR, and param_scheduler of the config is of LinearLR: go on'),
        ([0, 2], 'the state of LinearLR, CosineAnnealingLR, and .* is of LinearLR, MultiStepLR: go on with that'),
        (None, 'is of no schedule: go on with that, or begin anew'),
    ],
)
def test_other_schedules_are_refused(after, message, tmp_path):
    parts = [*small_config(tmp_path).param_scheduler, dict(type='MultiStepLR', milestones=[12], by_epoch=False)]
    schedules = None if after is None else [dict(parts[number]) for number in after]
    with pytest.raises(SettingsMismatchError, match=message):
        go_on(tmp_path, {}, dict(param_scheduler=schedules))


def test_schedules_that_are_added_are_refused(tmp_path):
    with pytest.raises(SettingsMismatchError, match='the state of no schedule, and param_scheduler .* is of LinearLR'):
        go_on(tmp_path, dict(param_scheduler=None), {})


def test_averaging_that_ends_leaves_the_weights_that_were_trained(tmp_path, log):
    with pytest.raises(Killed):
        train(tmp_path, iters=8, kill=6)
    trained = read_checkpoint(str(tmp_path / 'iter_6.pth'))['ema_state_dict']
    runner = Runner.from_cfg(small_config(tmp_path, iters=6, ema=False))
    runner.train()
    assert all(value.equal(trained[f'module.{name}']) for name, value in runner.model.state_dict().items())
    assert 'iter_6.pth holds averaged weights, which end here: the config has no EMAHook' in log()


def test_averaging_that_is_added_begins_with_the_weights(tmp_path, log):
    runner = go_on(tmp_path, dict(ema=False), dict(ema=True))
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    assert int(hook.ema_model.steps) == 2
    assert 'holds no averaged weights; the average of the EMAHook begins here' in log()


FLOAT16 = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'float16'}


def test_mixed_precision_may_come_and_go(tmp_path, log):
    go_on(tmp_path, {}, FLOAT16)
    assert 'optimizer.loss_scaler is not in the file, and begins anew' in log()
    Record.seen.clear()
    train(tmp_path, iters=10)
    assert 'optimizer.loss_scaler is in the file, and the config scales no loss' in log()


@DATASETS.register_module(force=True)
class OtherData(SmallData):
    """As many samples of another data set."""


ORDERS = {
    'grouped': (dict(grouped=False), r'batch_sampler.type was .AspectRatioBatchSampler. and is .BatchSampler.'),
    'shuffled': ({'train_dataloader.sampler.shuffle': False}, 'sampler.shuffle was True and is False'),
    'seed': ({'train_dataloader.sampler.seed': 7}, 'sampler.seed was not there and is 7'),
    'data': ({'train_dataloader.dataset.type': 'OtherData'}, 'dataset.type was .SmallData. and is .OtherData.'),
}


@pytest.mark.parametrize('case', ORDERS)
def test_another_order_within_an_epoch_is_refused(case, tmp_path):
    changes, message = ORDERS[case]
    with pytest.raises(
        SettingsMismatchError, match=f'within an epoch, the rest .* another order: train_dataloader.{message}'
    ):
        go_on(tmp_path, {}, changes)


def test_another_order_from_the_next_epoch_on_applies(tmp_path):
    seen = []
    train(tmp_path, epochs=1)
    runner = Runner.from_cfg(
        small_config(tmp_path, epochs=2, **{'train_dataloader.sampler.shuffle': False}, grouped=False)
    )
    runner.register_hook(Samples(seen))
    runner.train()
    assert seen[:3] == [[0, 1], [2, 3], [4, 5]]


class Samples(Hook):
    """Keeps the samples of each step."""

    def __init__(self, seen):
        self.seen = seen

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(data_batch['index'].tolist())


def test_a_seed_of_the_sampler_itself_is_kept(tmp_path):
    whole = {'train_dataloader.sampler.seed': 7}
    go_on(tmp_path, whole, whole, iters=20)
    train(tmp_path / 'whole', iters=20, **whole)  # Record compares the samples


def test_accumulation_changes_between_updates_alone(tmp_path):
    two, three = ({'optim_wrapper.accumulative_counts': count} for count in (2, 3))
    with pytest.raises(
        SettingsMismatchError,
        match='holds gradients of 1 of the 2 iterations of an update, and accumulative_counts .* is 3',
    ):
        go_on(tmp_path / 'a', two, three, kill=5)  # 5 are saved
    updates = []

    class Updates(Record):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            updates.append((runner.iter + 1, runner.optim_wrapper.should_update()))

    with pytest.raises(Killed):
        train(tmp_path / 'b', iters=9, kill=4, **two)
    runner = Runner.from_cfg(small_config(tmp_path / 'b', iters=9, **three))
    runner.register_hook(Updates())
    runner.train()
    assert [number for number, updated in updates if updated] == [7, 9]


def test_a_loop_that_counts_otherwise_is_refused(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, iters=30, kill=25)
    with pytest.raises(SettingsMismatchError, match='go on with an IterBasedTrainLoop'):
        train(tmp_path, epochs=3)


# Damaged in one value each, which no run writes.

DAMAGES = {
    'a weight of whole numbers': (('ema_state_dict', 'module.first.weight'), lambda x: x.long(), 'is of torch.int64'),
    'a weight of another float': (
        ('state_dict', 'first.weight'),
        lambda x: x.double(),
        'is of torch.float64, the model',
    ),
    'a sparse weight': (('state_dict', 'first.weight'), lambda x: x.to_sparse(), 'is no tensor of plain numbers'),
    'a complex weight': (('state_dict', 'first.weight'), lambda x: x.cfloat(), 'is no tensor of plain numbers'),
    'a weight of another shape': (('state_dict', 'first.weight'), lambda x: x[:3], 'has shape (3, 4), the model wants'),
    'an average of another shape': (('ema_state_dict', 'module.first.weight'), lambda x: x[:3], 'has shape (3, 4)'),
    'no average': (('ema_state_dict', 'module.first.weight'), None, 'lacks module.first.weight'),
    'an average that is no number': (('ema_state_dict', 'module.last.bias'), lambda x: x * torch.nan, 'are no numbers'),
    'steps that are no number': (('ema_state_dict', 'steps'), lambda x: x * torch.nan, 'is no number of the 6 iter'),
    'steps without end': (('ema_state_dict', 'steps'), lambda x: x * 0 + 10**15, 'is no number of the 6 iterations'),
    'no weight': (('state_dict', 'first.weight'), None, 'is incomplete: first.weight'),
    'no optimizer': (('optimizer',), None, 'it holds no state of an optimizer'),
    'no group': (('optimizer', 'param_groups'), lambda x: [], 'optimizer has 0 groups'),
    'no entry': (('optimizer', 'state', 0), None, 'optimizer.state is of 5 parameters, and 6 were saved'),
    'no momentum': (('optimizer', 'state', 0, 'momentum_buffer'), lambda x: None, 'momentum_buffer is None'),
    'another momentum': (
        ('optimizer', 'state', 0, 'momentum_buffer'),
        lambda x: x.double(),
        'is of torch.float64, and',
    ),
    'iterations without end': (('meta', 'iter'), lambda x: 10**15, 'meta.iter is 1000000000000000'),
    'other iterations': (('meta', 'iter'), lambda x: 600, 'runtime_info.iter is 5, and meta.iter 600'),
    'a schedule without end': (('param_schedulers', 0, 'last_step'), lambda x: 10**9, 'only 6 iterations were done'),
    'a batch without end': (('loop', 'batch_size'), lambda x: 10**12, 'loop has 1000000000000 samples in a step'),
    'batches without end': (('loop', 'batches'), lambda x: 10**9, 'only 6 iterations were done'),
    'epochs without end': (('loop', 'epoch'), lambda x: 10**9, 'only 6 iterations were done'),
    'an order that is none': (('loop', 'order'), lambda x: 'text', 'another order: train_dataloader was'),
    'kinds that are none': (('kinds', 'optimizers'), lambda x: 'text', "kinds.optimizers is 'text' and no dict"),
    'more iterations than an update takes': (
        ('kinds', 'optimizers', 'optimizer', 'gathered'),
        lambda x: 9,
        'kinds.optimizer.gathered is 9; an update takes 1',
    ),
}


def damage(path, place, change):
    checkpoint = read_checkpoint(str(path))
    holder = checkpoint
    for key in place[:-1]:
        holder = holder[key]
    if change is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = change(holder[place[-1]])
    torch.save(checkpoint, path)


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    """The files of a run that was killed after six iterations."""
    folder = tmp_path_factory.mktemp('stopped') / 'run'
    Record.seen = {}
    with pytest.raises(Killed):
        train(folder, iters=7, kill=6)
    return folder


@pytest.mark.parametrize('case', DAMAGES)
def test_damage_is_named_before_the_run_is_touched(case, stopped, tmp_path):
    place, change, message = DAMAGES[case]
    path = tmp_path / 'iter_6.pth'
    path.write_bytes((stopped / 'iter_6.pth').read_bytes())
    damage(path, place, change)
    runner = Runner.from_cfg(small_config(tmp_path / 'run', iters=7, resume=True, load_from=str(path)))
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    with pytest.raises(CheckpointError, match=re.escape(message)) as info:
        runner.train()
    assert '\n' not in str(info.value) and len(str(info.value)) < 600
    assert all(value.equal(before[name]) for name, value in runner.model.state_dict().items() if 'first' in name)


@pytest.mark.parametrize('case', ['a weight of another shape', 'no weight', 'no group', 'no average'])
def test_the_newest_that_does_not_fit_is_passed_over_where_an_older_one_does(case, stopped, tmp_path, log):
    for name in ('iter_5.pth', 'iter_6.pth'):
        (tmp_path / name).write_bytes((stopped / name).read_bytes())
    place, change, message = DAMAGES[case]
    damage(tmp_path / 'iter_6.pth', place, change)
    runner = train(tmp_path, iters=7)
    assert runner.iter == 7
    warning = next(line for line in log().splitlines() if message in line)
    assert 'iter_6.pth' in warning and f'the run goes on from {tmp_path / "iter_5.pth"}' in warning


def test_where_none_fits_the_model_is_another_one(stopped, tmp_path, log):
    for name in ('iter_5.pth', 'iter_6.pth'):
        (tmp_path / name).write_bytes((stopped / name).read_bytes())
        damage(tmp_path / name, *DAMAGES['a weight of another shape'][:2])
    with pytest.raises(CheckpointError, match=r'iter_6.pth does not fit: first.weight has shape') as info:
        train(tmp_path, iters=7)
    assert 'iter_5' not in str(info.value) and 'does not fit' not in log()


def test_names_without_end_are_clipped(stopped, tmp_path):
    name = 'x' * 10**6
    path = tmp_path / 'iter_6.pth'
    for place in (
        ('message_hub', 'runtime_info'),
        ('message_hub', 'log_scalars'),
        ('message_hub', 'resumed_keys'),
        ('optimizer', 'param_groups', 0),
        ('optimizer', 'state', 0),
        ('optimizer',),
        ('param_schedulers', 0),
        ('ema_state_dict',),
    ):
        path.write_bytes((stopped / 'iter_6.pth').read_bytes())
        damage(path, place, lambda holder: holder | {name: torch.ones(1).to_sparse()})
        with pytest.raises(CheckpointError) as info:
            Runner.from_cfg(small_config(tmp_path / 'run', iters=7, resume=True, load_from=str(path))).train()
        assert len(str(info.value)) < 600 + len(os.fspath(tmp_path)), place
