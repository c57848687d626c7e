"""Signals: the run saves after the step, and goes on as if nothing had been; a rank or a worker that hangs is named."""

import os
import re
import signal
import time
from contextlib import suppress
from typing import ClassVar

import pytest
import torch
import torch.distributed as dist
from mmengine.hooks import Hook

from soho.datasets.sample_key import SampleKey
from soho.engine import Runner
from soho.engine.stopping import Interrupted, Request, Stopping
from soho.errors import Stopped, TrainingError, exit_on_user_error
from soho.registry import DATASETS, HOOKS, METRICS
from tests.engine.small_runs import Record, SmallData, SmallScore, small_config, train
from tests.engine.test_exact_resume import assert_same, state_of


@HOOKS.register_module(force=True)
class Send(Hook):
    """Sends signals to this process in an iteration (counted from 1)."""

    def __init__(self, iteration, signals):
        self.iteration, self.signals = iteration, signals

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for number in self.signals if runner.iter + 1 == self.iteration else ():
            os.kill(os.getpid(), number)


SELDOM = {'default_hooks.checkpoint.interval': 100}


def send(folder, iteration, *signals, **options):
    cfg = small_config(folder, **SELDOM, **options)
    cfg.custom_hooks.append(dict(type='Send', iteration=iteration, signals=signals))
    Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT], ids=str)
def test_a_signal_saves_and_ends_the_run(number, tmp_path, capfd):
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    with pytest.raises(SystemExit) as end, exit_on_user_error():
        send(tmp_path / 'broken', 17, number, **{'optim_wrapper.accumulative_counts': 2})
    assert end.value.code == 75
    assert f'{signal.Signals(number).name}: the run stops after this step' in capfd.readouterr().err
    assert (tmp_path / 'broken' / 'iter_17.pth').exists() and not (tmp_path / 'broken' / '.lock').exists()
    assert handlers == [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    if number == signal.SIGTERM:
        options = SELDOM | {'optim_wrapper.accumulative_counts': 2}
        runs = [train(tmp_path / name, **options) for name in ('broken', 'whole')]
        assert_same(*map(state_of, runs))


def test_a_signal_in_the_last_step_of_an_epoch_ends_between_step_and_epoch(tmp_path):
    """Schedules by epoch have not stepped yet, and the validation is still to come."""
    options = dict(epochs=2, val=True, param_scheduler=[dict(type='MultiStepLR', milestones=[1], gamma=0.1)])
    with pytest.raises(
        Stopped, match=r'stopped by SIGTERM after iteration 11: saved as \S+iter_11\.pth; --resume goes on'
    ):
        send(tmp_path / 'broken', 11, signal.SIGTERM, **options)
    runs = [train(tmp_path / name, **SELDOM, **options) for name in ('broken', 'whole')]
    assert_same(*map(state_of, runs))


@METRICS.register_module(force=True)
class SendingScore(SmallScore):
    """Sends SIGTERM to this process after so many of its batches."""

    sends: ClassVar[list] = []

    def process(self, data_batch, prediction):
        super().process(data_batch, prediction)
        torch.rand(3)  # as a metric may draw
        if self.sends and len(self.results) == self.sends[0]:
            os.kill(os.getpid(), signal.SIGTERM)
            self.sends.clear()


@pytest.mark.parametrize('form', [dict(iters=29, **{'train_cfg.val_interval': 10}), dict(epochs=3)], ids=str)
def test_a_signal_within_a_validation_ends_it_between_batches(form, tmp_path, monkeypatch):
    """The averaged weights were in place; the validation is repeated, and no trace is left of the first."""
    form = dict(form, val=True, **{'val_evaluator.type': 'SendingScore', 'default_hooks.checkpoint.interval': 7})
    monkeypatch.setattr(SendingScore, 'sends', [2])
    with pytest.raises(Stopped, match=r'stopped by SIGTERM after iteration (10|11): saved as \S+iter_1[01]\.pth'):
        train(tmp_path / 'broken', **form)
    Record.seen.clear()
    runs = [train(tmp_path / name, **form) for name in ('broken', 'whole')]
    assert_same(*map(state_of, runs))
    rows = [[validated(path) for path in sorted((tmp_path / name).glob('*/*.log'))] for name in ('broken', 'whole')]
    assert sum(rows[0], []) == sum(rows[1], [])


def validated(log):
    """The scores that a log says."""
    return [line.partition('score: ')[2].split()[0] for line in log.read_text().splitlines() if 'score: ' in line]


def test_ranks_leave_a_validation_together_whatever_the_number_of_their_batches(monkeypatch):
    """Each asks as often as the one with the most batches, so that none waits for an answer that does not come."""
    monkeypatch.setattr('soho.engine.stopping.get_world_size', lambda: 2)
    monkeypatch.setattr('soho.engine.stopping.all_gather_object', lambda count: [count, 19])
    asked = []
    for own, stop in ((5, None), (19, None), (12, 2), (19, 2)):
        stopping, rounds = Stopping(), []
        monkeypatch.setattr(stopping, 'ask', rounds.append)
        monkeypatch.setattr(
            stopping, 'answer', lambda rounds=rounds, stop=stop: Request.STOP if len(rounds) == stop else Request.NONE
        )
        done = 0
        with suppress(Interrupted), stopping.evaluation(own):
            for number in range(own):
                stopping.after_evaluation_batch(number)
                done += 1
        asked.append((len(rounds), done))
    assert asked == [(3, 5), (3, 19), (2, 11), (2, 16)]


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    with pytest.raises(SystemExit) as end, exit_on_user_error():
        send(tmp_path, 3, signal.SIGINT, signal.SIGINT)
    assert end.value.code == 130 and not list(tmp_path.glob('*.pth'))


def test_minutes(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr('soho.engine.hooks.checkpoint.time.monotonic', lambda: now[0])

    class Clock(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            now[0] += 30

    cfg = small_config(
        tmp_path, iters=10, **{'default_hooks.checkpoint': dict(interval=-1, minutes=2, max_keep_ckpts=-1)}
    )
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Clock())
    runner.train()
    assert {path.name for path in tmp_path.glob('iter_*.pth')} == {'iter_4.pth', 'iter_8.pth', 'iter_10.pth'}


@pytest.fixture
def alone():
    """A process group of this process."""
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_ranks_do_what_one_of_them_asks_one_step_later(alone):
    stopping = Stopping(timeout=5)
    stopping._group = dist.new_group(backend='gloo')
    assert stopping.answer() is Request.NONE
    stopping.ask(Request.SAVE)
    assert stopping.answer() is Request.SAVE and stopping.answer() is Request.NONE
    stopping.received = 'SIGTERM'
    stopping.ask(Request.NONE)
    assert stopping.answer() is Request.STOP


@DATASETS.register_module(force=True)
class HangingData(SmallData):
    """Its sixth sample never comes."""

    def __getitem__(self, key):
        if SampleKey.of(key).index == 5:
            time.sleep(3600)
        return super().__getitem__(key)


def test_a_worker_that_hangs_is_named_and_killed(tmp_path):
    changes = {'train_dataloader.dataset.type': 'HangingData', 'train_dataloader.num_workers': 1}
    cfg = small_config(tmp_path, iters=12, **changes, **{'train_dataloader.timeout': 1})
    runner = Runner.from_cfg(cfg)
    with pytest.raises(
        TrainingError,
        match=r'the data worker 0 \(process (\d+)\) of train_dataloader has not delivered batch \d+ of epoch 1;',
    ) as info:
        runner.train()
    assert re.search(r'its samples are (5, \d+|\d+, 5) within 1 s \(train_dataloader\.timeout\)', str(info.value))
    pid = int(str(info.value).split('(process ')[1].split(')')[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_leave_signals_to_the_main_process(tmp_path):
    """A batch system sends SIGTERM to all processes of a job; the run could not save if its workers ended."""

    class Everybody(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 4:
                workers = [child.pid for child in torch.multiprocessing.active_children()]
                sender = os.fork()  # what the parent itself sends is heeded
                if sender == 0:
                    for pid in workers:
                        os.kill(pid, signal.SIGTERM), os.kill(pid, signal.SIGINT), os.kill(pid, signal.SIGUSR1)
                    os._exit(0)
                os.waitpid(sender, 0)
                time.sleep(0.3)
                self.left = len(torch.multiprocessing.active_children())

    runner = Runner.from_cfg(small_config(tmp_path, iters=12, **SELDOM, **{'train_dataloader.num_workers': 1}))
    hook = Everybody()
    runner.register_hook(hook)
    runner.train()
    assert hook.left == 1 and runner.iter == 12
    assert not [child for child in torch.multiprocessing.active_children() if child.is_alive()]
