"""Two ranks stop after the same step and go on as if nothing had been, also as one; a rank that hangs is named."""

import json
import os
import signal
import time
from datetime import timedelta

import pytest
from mmengine.hooks import Hook

from soho.registry import HOOKS
from tests.engine.small_runs import SAMPLES, small_config
from tests.engine.soak import attempt, attempt_ranks, differences, saved_state


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@HOOKS.register_module(force=True)
class Disturb(Hook):
    """Sends itself a signal, or sleeps, in an iteration (counted from 1)."""

    def __init__(self, iteration, number=None):
        self.iteration, self.number = iteration, number

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            time.sleep(3600) if self.number is None else os.kill(os.getpid(), self.number)


OPTIONS = {
    'default_hooks.checkpoint.interval': 100,
    'optim_wrapper.accumulative_counts': 3,
    'batch_size': 1,
    'epochs': 2,
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
    """Samples of each iteration, those of all ranks together."""
    seen = {}
    for path in sorted((folder / 'run').glob('samples*.txt')):
        for iteration, indices in map(json.loads, path.read_text().splitlines()):
            seen.setdefault(iteration, []).extend(indices)
    return seen


def logs(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('rank*.log')))


@pytest.mark.slow
def test_two_ranks(tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    whole.mkdir(), broken.mkdir()
    assert attempt_ranks(whole, 2, configure(whole)) == [0, 0], logs(whole)

    # One rank is told; both stop after the next step, between two updates.
    codes = attempt_ranks(broken, 2, configure(broken, disturbed=1, iteration=6, number=signal.SIGTERM))
    assert codes == [75, 75], logs(broken)
    assert [path.name for path in (broken / 'run').glob('*.pth')] == ['iter_7.pth']
    # As one process, with twice the samples in a batch, on a copy.
    one = tmp_path / 'one'
    (one / 'run').mkdir(parents=True)
    for path in [*(broken / 'run').glob('iter_*.pth'), *(broken / 'run').glob('samples*.txt')]:
        (one / 'run' / path.name).write_bytes(path.read_bytes())
    assert attempt(one, OPTIONS | dict(batch_size=2)) == 0, (one / 'attempts.log').read_text()[-3000:]
    first_epoch = [samples(one)[i] for i in range(11)]
    assert sorted(sum(first_epoch, [])) == list(range(SAMPLES))

    assert attempt_ranks(broken, 2, configure(broken)) == [0, 0], logs(broken)
    assert samples(broken) == samples(whole)
    assert not differences(saved_state(broken / 'run'), saved_state(whole / 'run'))


@pytest.mark.slow
def test_a_rank_that_hangs_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr('soho.engine.stopping.ROLL_CALL', timedelta(seconds=2))
    codes = attempt_ranks(tmp_path, 2, configure(tmp_path, disturbed=1, timeout=15, iteration=4))
    assert codes == [1, -signal.SIGKILL]
    said = (tmp_path / 'rank0.log').read_text()
    assert 'the ranks do not keep step, and one hangs or is gone' in said and 'Ranks 1 failed to pass' in said, said[
        -3000:
    ]
