"""Two ranks stop after the same step and go on as if nothing had been, also as one; a rank that is lost is named."""

import json
import os
import re
import signal
import time

import pytest
from mmengine.hooks import Hook

from soho.registry import HOOKS, import_parts
from tests.engine.small_runs import SAMPLES, small_config
from tests.engine.soak import attempt, attempt_ranks, differences, saved_state


@HOOKS.register_module(force=True)
class Disturb(Hook):
    """Sends itself a signal, or sleeps, in an iteration (counted from 1) or in the validation after it."""

    def __init__(self, iteration, number=None, validation=False):
        self.iteration, self.number, self.validation = iteration, number, validation

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not self.validation and runner.iter + 1 == self.iteration:
            self._act()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.validation and runner.iter == self.iteration:
            self._act()

    def _act(self):
        time.sleep(3600) if self.number is None else os.kill(os.getpid(), self.number)


OPTIONS = {
    'default_hooks.checkpoint.interval': 4,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    'optim_wrapper.accumulative_counts': 3,
    'batch_size': 1,
    'epochs': 2,
    'val': True,
}


def configure(folder, disturbed=None, timeout=300, **hook):
    def make(rank):
        cfg = small_config(folder / 'run', **OPTIONS, launcher='pytorch', sync_bn=True)
        if rank == disturbed:
            cfg.custom_hooks.append(dict(type='Disturb', **hook))
        cfg.env_cfg = dict(dist_cfg=dict(timeout=timeout))
        return cfg

    return make


def samples(folder):
    """Samples of each iteration, those of all ranks together; what was done again had the same ones."""
    seen = {}
    for path in sorted((folder / 'run').glob('samples*.txt')):
        for iteration, indices in map(json.loads, path.read_text().splitlines()):
            assert seen.setdefault((iteration, path.name), indices) == indices
    steps = sorted({iteration for iteration, _ in seen})
    return {step: sum((seen[place] for place in sorted(seen) if place[0] == step), []) for step in steps}


def logs(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('rank*.log')))


def assert_equal_runs(one, other):
    assert samples(one) == samples(other)
    assert not differences(saved_state(one / 'run'), saved_state(other / 'run'))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The run of two ranks that nobody has touched."""
    folder = tmp_path_factory.mktemp('whole')
    import_parts()  # once, and not in each of the processes
    assert attempt_ranks(folder, 2, configure(folder)) == [0, 0], logs(folder)
    return folder


@pytest.mark.slow
def test_two_ranks_that_are_told_to_stop(whole, tmp_path):
    # One rank is told; both stop after the next step, between two updates.
    codes = attempt_ranks(tmp_path, 2, configure(tmp_path, disturbed=1, iteration=6, number=signal.SIGTERM))
    assert codes == [75, 75], logs(tmp_path)
    assert {path.name for path in (tmp_path / 'run').glob('*.pth')} == {'iter_4.pth', 'iter_7.pth'}
    # As one process, with twice the samples in a batch, on a copy.
    one = tmp_path / 'one'
    (one / 'run').mkdir(parents=True)
    for path in [*(tmp_path / 'run').glob('iter_7.pth'), *(tmp_path / 'run').glob('samples*.txt')]:
        (one / 'run' / path.name).write_bytes(path.read_bytes())
    assert attempt(one, OPTIONS | dict(batch_size=2)) == 0, (one / 'attempts.log').read_text()[-3000:]
    first_epoch = [samples(one)[i] for i in range(11)]
    assert sorted(sum(first_epoch, [])) == list(range(SAMPLES))

    assert attempt_ranks(tmp_path, 2, configure(tmp_path)) == [0, 0], logs(tmp_path)
    assert_equal_runs(tmp_path, whole)


@pytest.mark.slow
def test_two_ranks_leave_a_validation_when_one_is_told_to_stop(whole, tmp_path):
    told = dict(disturbed=1, iteration=11, number=signal.SIGTERM, validation=True)
    assert attempt_ranks(tmp_path, 2, configure(tmp_path, **told)) == [75, 75], logs(tmp_path)
    assert (tmp_path / 'run' / 'iter_11.pth').exists() and 'score: ' not in logs(tmp_path)
    assert attempt_ranks(tmp_path, 2, configure(tmp_path)) == [0, 0], logs(tmp_path)
    assert_equal_runs(tmp_path, whole)


FAULTS = {
    'hangs in the validation': (1, dict(iteration=11, validation=True), 'hangs'),
    'is stopped': (1, dict(iteration=6, number=signal.SIGSTOP), 'is stopped'),
    'is killed': (1, dict(iteration=6, number=signal.SIGKILL), 'is gone: .* was killed, as where memory ran out'),
    'is killed in the validation': (1, dict(iteration=11, number=signal.SIGKILL, validation=True), 'is gone'),
    'is the first and is killed': (0, dict(iteration=6, number=signal.SIGKILL), 'is gone'),
}


@pytest.mark.slow
@pytest.mark.parametrize('fault', FAULTS)
def test_a_rank_that_is_lost_is_named_and_the_run_goes_on(fault, whole, tmp_path, monkeypatch):
    rank, what, how = FAULTS[fault]
    monkeypatch.setattr('soho.ranks.ANSWER_TIMEOUT', 2.0)
    codes = attempt_ranks(tmp_path, 2, configure(tmp_path, disturbed=rank, timeout=6, **what))
    assert (codes[rank], codes[1 - rank]) == (-signal.SIGKILL, 1), logs(tmp_path)
    said = (tmp_path / f'rank{1 - rank}.log').read_text()
    assert re.search(rf'error: rank {rank} \(process \d+ on \S+\) {how}.*--resume goes on', said), said[-3000:]
    assert said.count('error: ') == 1 and not re.search('^Traceback', said, re.MULTILINE)
    assert attempt_ranks(tmp_path, 2, configure(tmp_path)) == [0, 0], logs(tmp_path)
    assert_equal_runs(tmp_path, whole)
