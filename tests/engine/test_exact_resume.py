"""Killed and resumed is unbroken: bit for bit, every sample once, and nothing read a second time."""

import random

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook

from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import AspectRatioBatchSampler, EpochSampler, OfficialBatchSampler, Place
from soho.engine import Runner
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint
from soho.engine.random_state import get_random_state, is_random_state, set_random_state
from tests.engine.small_runs import Killed, Record, SmallData, small_config, train, train_with_kills
from tests.engine.soak import differences, saved_state, soak


def assert_same(one, other, where=''):
    """Equal values in equal places, to the bit."""
    assert not differences(one, other, where)


def state_of(runner):
    return saved_state(runner.work_dir)


SELDOM = {'default_hooks.checkpoint.interval': 11}
FORMS = {
    'epochs': {},
    'iterations': dict(iters=29),
    'not grouped': dict(iters=29, grouped=False),
    'accumulation': {'optim_wrapper.accumulative_counts': 3},
    'float16': {
        'optim_wrapper.type': 'AmpOptimWrapper',
        'optim_wrapper.dtype': 'float16',
        'optim_wrapper.loss_scale': dict(init_scale=2.0**20, growth_interval=5),
        'optim_wrapper.accumulative_counts': 2,
    },
    'lookahead': {
        'optim_wrapper.optimizer': dict(
            _delete_=True, type='Lookahead', optimizer='SGD', k=3, lr=0.02, momentum=0.9, fused=True
        )
    },
    'best': dict(val=True),
    'best of iterations': dict(val=True, iters=29, **{'train_cfg.val_interval': 5}),
}


@pytest.mark.parametrize('form', FORMS)
def test_kills_at_random_steps_leave_no_trace(form, tmp_path):
    seed = random.randrange(10**6)
    whole = train(tmp_path / 'whole', **FORMS[form])
    steps = sorted(random.Random(seed).sample(range(whole.max_iters), 4))
    broken = train_with_kills(tmp_path / 'broken', steps, **FORMS[form])
    print('seed', seed, 'killed in', steps)
    assert broken.iter == whole.iter and broken.epoch == whole.epoch
    assert_same(state_of(broken), state_of(whole))
    best = [sorted(path.name for path in (tmp_path / name).glob('best_*')) for name in ('whole', 'broken')]
    assert best[0] == best[1] and len(best[0]) == ('best' in form)


def test_a_run_whose_score_stands_still_ends_where_an_unbroken_one_does(tmp_path):
    """After two validations, and the best score, with an earlier run; also where it is started again at its end."""
    patient = dict(type='EarlyStoppingHook', monitor='score', rule='greater', min_delta=1000.0, patience=2)

    def run(folder, kill=None):
        cfg = small_config(tmp_path / folder, kill=kill, epochs=6, val=True, ema=False, **SELDOM)
        cfg.custom_hooks.append(patient)
        runner = Runner.from_cfg(cfg)
        try:
            runner.train()
        except Killed:
            assert kill is not None
        return runner

    whole = run('whole')
    assert whole.epoch == 3
    run('broken', kill=30)
    assert (broken := run('broken')).iter == whole.iter
    assert_same(state_of(broken), state_of(whole))
    assert run('broken').iter == whole.iter


def test_twenty_kills_at_any_moment_leave_no_trace(tmp_path):
    """Of processes, also while a file is being written; everything that a run may have at once."""
    seed = random.randrange(10**6)
    print('seed', seed)
    lines = []
    assert not soak(tmp_path, 20, random.Random(seed), log=lines.append)
    assert any('in its save' in line and line.endswith(', while it wrote one') for line in lines)
    left = [path.name for path in (tmp_path / 'broken' / 'run').iterdir() if path.name.startswith('.')]
    assert not left


@pytest.mark.parametrize('workers', [(0, 1, True), (1, 0, True), (0, 1, False)], ids=str)
def test_other_workers_change_nothing(workers, tmp_path):
    """Persistent workers are opened once, and others take a random number in every epoch."""
    before, after, persistent = workers

    def options(number):
        return {
            'train_dataloader.num_workers': number,
            'train_dataloader.persistent_workers': bool(number) and persistent,
        }

    whole = train(tmp_path / 'whole', epochs=2, **options(before))
    with pytest.raises(Killed):
        train(tmp_path / 'broken', epochs=2, kill=3, **options(before))
    broken = train(tmp_path / 'broken', epochs=2, **options(after))
    one, other = state_of(broken), state_of(whole)
    assert_same(one, other)


def test_checkpoints_at_the_end_of_epochs_are_enough(tmp_path):
    epochs = {'default_hooks.checkpoint': dict(by_epoch=True, interval=1), 'optim_wrapper.accumulative_counts': 2}
    runs = [train(tmp_path / 'whole', **epochs), train_with_kills(tmp_path / 'broken', [4, 14], **epochs)]
    states = [read_checkpoint(f'{run.work_dir}/epoch_3.pth') for run in runs]
    for name in ('state_dict', 'optimizer', 'ema_state_dict', 'random_states', 'loop', 'param_schedulers'):
        assert_same(states[0][name], states[1][name], name)


def test_nothing_is_read_again(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr('time.sleep', pauses.append)
    train(tmp_path, iters=27)
    SmallData.decoded = 0
    train(tmp_path, iters=29)
    assert SmallData.decoded <= 2 * 2 + 1 and not pauses  # and the first sample, at which the heads look


def test_a_run_of_an_older_version_goes_on_at_the_right_batch(tmp_path):
    """Its checkpoints say how many iterations were done, and nothing of places or generators."""
    whole = [dict(iters=29), dict(epochs=3)]
    for number, options in enumerate(whole):
        folder = tmp_path / str(number)
        with pytest.raises(Killed):
            train(folder, kill=15, **options)
        for path in folder.glob('iter_*.pth'):
            old = read_checkpoint(str(path))
            torch.save({key: old[key] for key in old if key not in ('loop', 'random_states', 'gradients')}, path)
        train(folder, **options)
        Record.seen.clear()


def test_an_epoch_that_has_begun_needs_the_same_data(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill=4)
    with pytest.raises(ValueError, match='within an epoch of 22 samples, and train_dataloader has 20: go on with the'):
        train(tmp_path, **{'train_dataloader.dataset.samples': 20})


def test_a_sampler_of_another_toolbox_is_counted_off(tmp_path):
    options = {'train_dataloader.sampler': dict(type='DefaultSampler'), 'grouped': False}
    whole = train(tmp_path / 'whole', epochs=2, **options)
    SmallData.decoded = 0
    broken = train_with_kills(tmp_path / 'broken', [7], epochs=2, **options)
    assert SmallData.decoded <= 22 * 2 + 2 * 2 + 2
    assert_same(state_of(broken), state_of(whole))


# Samplers: no data, no model.


class Data:
    def __init__(self, samples):
        self.aspect_ratio = np.where(np.arange(samples) % 3 == 0, 0.5, 1.5)[:, None]

    def __len__(self):
        return len(self.aspect_ratio)


def epoch_of(kind, world_size, batch_size, samples, epoch=1, place=None, drop_last=False):
    """Indices of the global batches of an epoch: of every step those of all ranks."""
    ranks = []
    for rank in range(world_size):
        sampler = EpochSampler(Data(samples), seed=5)
        sampler.rank, sampler.world_size = rank, world_size
        if kind == 'plain':
            batches = torch.utils.data.BatchSampler(sampler, batch_size, False)
        else:
            make = OfficialBatchSampler if kind == 'official' else AspectRatioBatchSampler
            batches = make(sampler, batch_size, **(dict(drop_last=drop_last) if kind == 'grouped' else {}))
        sampler.set_epoch(epoch)
        start = (sampler if kind == 'plain' else batches).resume_at(place, batch_size) if place else 0
        of_rank = [[SampleKey.of(key).index for key in batch] for batch in batches]
        assert (start if place and place.epoch == epoch else 0) + len(of_rank) == len(batches)
        ranks.append(of_rank)
    assert len({len(of_rank) for of_rank in ranks}) == 1
    return [[index for of_rank in step for index in of_rank] for step in zip(*ranks)]


@pytest.mark.parametrize('kind', ['plain', 'grouped', 'official'])
@pytest.mark.parametrize('ranks, batch, new_ranks, new_batch', [(1, 4, 1, 4), (2, 3, 1, 6), (1, 6, 3, 2), (4, 2, 2, 4)])
def test_as_large_global_batches_go_on_as_they_were(kind, ranks, batch, new_ranks, new_batch):
    whole = epoch_of(kind, ranks, batch, 50)
    for taken in (1, 3, len(whole)):
        rest = epoch_of(kind, new_ranks, new_batch, 50, place=Place(1, taken, batch, ranks))
        if ranks != new_ranks and kind != 'grouped':  # which rank has which sample differs, and what fills the last
            last = -1 if kind == 'plain' else None
            assert list(map(sorted, rest))[:last] == list(map(sorted, whole[taken:]))[:last]
        else:
            assert rest == whole[taken:]


@pytest.mark.parametrize('kind', ['plain', 'grouped', 'official'])
@pytest.mark.parametrize('ranks, batch, new_ranks, new_batch', [(2, 3, 1, 3), (1, 3, 2, 3), (4, 2, 1, 5), (1, 8, 3, 2)])
def test_with_other_ranks_no_sample_is_lost_and_none_comes_twice(kind, ranks, batch, new_ranks, new_batch):
    whole = epoch_of(kind, ranks, batch, 50)
    for taken in (1, 2, len(whole) - 1, len(whole)):
        rest = epoch_of(kind, new_ranks, new_batch, 50, place=Place(1, taken, batch, ranks))
        before = {index for step in whole[:taken] for index in step}
        after = [index for step in rest for index in step]
        assert before | set(after) == set(range(50))
        assert not before & set(after) or kind == 'plain'
        filled = len(after) - len(set(after))
        assert filled < 2 * new_ranks * new_batch  # the last batch of each shape is filled up
        if kind != 'plain':
            assert all(
                len({index % 3 == 0 for index in step[i : i + new_batch]}) == 1
                for step in rest
                for i in range(0, len(step), new_batch)
            )
    assert epoch_of(kind, new_ranks, new_batch, 50, epoch=2, place=Place(1, 2, batch, ranks)) == epoch_of(
        kind, new_ranks, new_batch, 50, epoch=2
    )


def test_random_generators_go_on(tmp_path):
    random.gauss(0, 1)
    state = get_random_state()
    torch.save(state, tmp_path / 'state.pth')

    def draw():
        numbers = np.random.standard_normal(3).tolist()  # noqa: NPY002
        return random.gauss(0, 1), random.random(), numbers, torch.rand(3).tolist()

    first = draw()
    set_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == first
    assert is_random_state(state)
    for key, value in dict(python=torch.zeros(3), numpy=None, torch=torch.zeros(5056), python_next_gauss='x').items():
        assert not is_random_state(state | {key: value})


# Settings that the command line changes.


def resumed(tmp_path, **changes):
    """The runner of a run that is killed after 10 iterations and goes on for two with changed settings."""
    if not list(tmp_path.glob('iter_*.pth')):
        with pytest.raises(Killed):
            train(tmp_path, iters=12, kill=10)
    return train(tmp_path, iters=12, **changes)


def test_another_learning_rate_applies_to_schedules_as_well(tmp_path):
    doubled = resumed(tmp_path / 'a', **{'optim_wrapper.optimizer.lr': 0.04})
    plain = resumed(tmp_path / 'b')
    for runner, base in ((doubled, 0.04), (plain, 0.02)):
        assert runner.optim_wrapper.optimizer.param_groups[0]['initial_lr'] == base
    rates = [runner.optim_wrapper.get_lr()['lr'][0] for runner in (doubled, plain)]
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.01)
    logs = ''.join(path.read_text() for path in (tmp_path / 'a').glob('*/*.log'))
    assert 'optimizer.param_groups.0.lr was 0.02 and is 0.04 by the config, which applies' in logs


def test_another_end_of_a_schedule_applies(tmp_path):
    runner = resumed(
        tmp_path,
        **{
            'param_scheduler': [
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
                dict(type='CosineAnnealingLR', T_max=11, eta_min=1e-4, by_epoch=False),
            ]
        },
    )
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(1e-4)
    logs = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'param_schedulers.1.T_max was 40 and is 11 by the config' in logs


def test_other_settings_of_the_optimizer_apply(tmp_path):
    runner = resumed(tmp_path, **{'optim_wrapper.optimizer.momentum': 0.5})
    assert runner.optim_wrapper.optimizer.param_groups[0]['momentum'] == 0.5


def test_another_seed_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match='randomness.seed is 4 in the config, and .*iter_10.pth is of a run with'):
        resumed(tmp_path, **{'randomness.seed': 4})


def test_a_run_without_a_seed_keeps_the_one_it_drew(tmp_path):
    whole = train(tmp_path / 'whole', epochs=2, **{'randomness.seed': None})
    with pytest.raises(Killed):
        Record.seen.clear()
        train(tmp_path / 'broken', epochs=2, kill=4, **{'randomness.seed': None})
    runner = Runner.from_cfg(small_config(tmp_path / 'broken', epochs=2, **{'randomness.seed': None}))
    runner.train()  # Record compares the samples
    assert runner.seed != whole.seed


def test_averaged_weights_are_part_of_the_state(tmp_path):
    runner = train_with_kills(tmp_path, [5], epochs=1)
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    assert int(hook.ema_model.steps) == runner.iter
