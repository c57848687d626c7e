"""What befalls a run is said in a sentence that names the culprit, and it goes on to what an unbroken one comes to.

Faults of ranks are in test_ranks_resume.py, and kills of the whole process in test_exact_resume.py.
"""

import os
import re
import signal
import time
from contextlib import suppress

import pytest
from mmengine.hooks import Hook

from soho.datasets.sample_key import SampleKey
from soho.engine import Runner
from soho.errors import exit_on_user_error
from soho.registry import DATASETS, HOOKS
from tests.engine.small_runs import Killed, Record, SmallData, small_config, train
from tests.engine.soak import differences, saved_state
from tests.engine.test_saving import FullDisk


@DATASETS.register_module(force=True)
class FaultyData(SmallData):
    """What reading the sixth sample does from the second epoch on, if anything."""

    fault = None

    def __getitem__(self, key):
        key = SampleKey.of(key)
        if self.fault and key.index == 5 and key.epoch >= 1:
            type(self).fault()
        return super().__getitem__(key)


def send(number):
    return lambda: os.kill(os.getpid(), number)


def hang():
    time.sleep(3600)


def fail():
    raise KeyError('no such picture')


OPTIONS = {
    'val': True,
    'train_dataloader.dataset.type': 'FaultyData',
    'train_dataloader.num_workers': 1,
    'optim_wrapper.accumulative_counts': 2,
    'visualizer.vis_backends': [dict(type='LocalVisBackend')],
}


@pytest.fixture(autouse=True)
def _no_fault(monkeypatch):
    monkeypatch.setattr(FaultyData, 'fault', None)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """State of the run that nothing has befallen, and the samples of each of its iterations."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, 'seen', {})
        train(folder, **OPTIONS)
        return saved_state(folder), Record.seen


@pytest.fixture
def goes_on(whole, monkeypatch, tmp_path):
    """A function that goes on with the run and compares it with the unbroken one."""
    monkeypatch.setattr(Record, 'seen', dict(whole[1]))  # with which it compares

    def go_on(**changes):
        train(tmp_path, **OPTIONS | changes)
        assert not differences(saved_state(tmp_path), whole[0])

    return go_on


def sentence_of(folder, hook=None, **options):
    """What a training says that does not come to its end; its code is 1."""
    cfg = small_config(folder, **OPTIONS | options)
    with pytest.raises(SystemExit) as end, exit_on_user_error():
        runner = Runner.from_cfg(cfg)
        if hook is not None:
            runner.register_hook(hook)
        runner.train()
    assert isinstance(end.value.code, str) and '\n' not in end.value.code  # which Python prints, and ends with 1
    return end.value.code


WORKERS = {
    'killed': (send(signal.SIGKILL), 'was ended by SIGKILL, as where memory ran out: fewer workers'),
    'broken': (send(signal.SIGSEGV), 'was ended by SIGSEGV; --resume goes on'),
    'stopped': (
        send(signal.SIGSTOP),
        r'has not delivered batch \d+ of epoch 2; its samples are (5, \d+|\d+, 5) within',
    ),
    'hanging': (hang, r'has not delivered batch \d+ of epoch 2; its samples are (5, \d+|\d+, 5) within 2 s'),
}


@pytest.mark.parametrize('what', WORKERS)
def test_a_lost_worker_is_named(what, goes_on, tmp_path, monkeypatch):
    fault, sentence = WORKERS[what]
    monkeypatch.setattr(FaultyData, 'fault', staticmethod(fault))
    said = sentence_of(tmp_path, **{'train_dataloader.timeout': 2})
    worker = re.match(r'error: the data worker 0 \(process (\d+)\) of train_dataloader ' + sentence, said)
    assert worker, said
    with pytest.raises(ProcessLookupError):
        os.kill(int(worker[1]), 0)
    monkeypatch.setattr(FaultyData, 'fault', None)
    goes_on()


@pytest.mark.parametrize('what', ['killed', 'hanging'])
def test_a_lost_worker_of_a_validation_is_named(what, goes_on, tmp_path, monkeypatch):
    """Its samples are of epoch 0, whatever is trained."""
    fault, sentence = WORKERS[what]

    @DATASETS.register_module(force=True)
    class FaultyValidation(SmallData):
        def __getitem__(self, key):
            fault() if SampleKey.of(key).index == 7 else None
            return super().__getitem__(key)

    loader = {'val_dataloader.dataset.type': 'FaultyValidation', 'val_dataloader.num_workers': 1}
    said = sentence_of(tmp_path, **loader, **{'val_dataloader.timeout': 2})
    sentence = sentence if what == 'killed' else 'has not delivered batch 1; its samples are 5, 6, 7, 8, 9 within 2 s'
    assert re.match(rf'error: the data worker 0 \(process \d+\) of val_dataloader {sentence}', said), said
    goes_on()


@pytest.mark.parametrize('workers', [0, 1])
def test_a_failing_sample_ends_the_run(workers, goes_on, tmp_path, monkeypatch):
    monkeypatch.setattr(FaultyData, 'fault', staticmethod(fail))
    said = sentence_of(tmp_path, **{'train_dataloader.num_workers': workers})
    assert re.match(r"error: KeyError: 'no such picture' \(traceback in \S+\.log\)$", said), said
    monkeypatch.setattr(FaultyData, 'fault', None)
    goes_on()


@HOOKS.register_module(force=True)
class FillDisk(Hook):
    """Fills the disk of what is written after an iteration (counted from 1)."""

    def __init__(self, fill, iteration=15):
        self.fill, self.iteration = fill, iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            self.fill(runner)


def fill_log(runner):
    stream = next(handler.stream for handler in runner.logger.handlers if hasattr(handler, 'baseFilename'))
    with open('/dev/full', 'w') as full:
        os.dup2(full.fileno(), stream.fileno())


def fill_scalars(runner):
    path = os.path.join(runner.log_dir, 'vis_data', 'scalars.json')
    os.replace(path, f'{path}.before')
    os.symlink('/dev/full', path)


def fill_tensorboard(runner):
    path = next(
        entry.path for entry in os.scandir(os.path.join(runner.log_dir, 'vis_data')) if 'tfevents' in entry.name
    )
    os.remove(path)
    os.symlink('/dev/full', path)


DISKS = {
    'log': (fill_log, r'the log \S+\.log'),
    'scalars': (fill_scalars, r'what the run writes to \S+'),
    'tensorboard': (fill_tensorboard, r'what the run writes to \S+'),
}


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='nothing here is as full')
@pytest.mark.parametrize('what', DISKS)
def test_a_disk_that_is_full_of_logs_is_named(what, goes_on, tmp_path, capfd):
    fill, name = DISKS[what]
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    said = sentence_of(tmp_path, FillDisk(fill), **{'visualizer.vis_backends': backends})
    assert re.match(rf'error: {name} could not be written \(No space left on device\): make room, and go on', said), (
        said
    )
    assert 'Traceback' not in capfd.readouterr().err
    for path in tmp_path.rglob('*'):  # room is made: a run that begins in the same second writes to the same folder
        if path.is_symlink() and os.readlink(path) == '/dev/full':
            path.unlink()
    goes_on()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='nothing here is as full')
def test_a_full_disk_is_said_once_at_the_start(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr('mmengine.logging.logger.logging.FileHandler._open', lambda handler: open('/dev/full', 'w'))
    said = sentence_of(tmp_path)
    assert re.match(r'error: the log \S+\.log could not be written \(No space left on device\)', said), said
    assert 'Traceback' not in capfd.readouterr().err


def test_a_disk_that_is_full_of_checkpoints_leaves_the_last_one(goes_on, tmp_path, monkeypatch):
    room = [200_000]

    def open_on_small_disk(*args, **options):
        file = FullDisk(open(*args, **options), room[0])
        room[0] -= 30_000
        return file

    with monkeypatch.context() as patch:
        patch.setattr('soho.files.open', open_on_small_disk, raising=False)
        said = sentence_of(tmp_path)
    assert re.match(r'error: the checkpoint \S+iter_\d+\.pth could not be written \(No space left on device\)', said), (
        said
    )
    assert list(tmp_path.glob('iter_*.pth')) and not list(tmp_path.glob('.*.tmp*'))
    goes_on()


@pytest.mark.parametrize('damage', ['cut', 'changed', 'empty', 'gone'])
def test_a_damaged_newest_checkpoint_is_passed_over(damage, goes_on, tmp_path):
    with suppress(Killed):
        train(tmp_path, kill=17, **OPTIONS)
    newest = max(tmp_path.glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))
    contents = newest.read_bytes()
    middle = len(contents) // 2
    if damage == 'gone':
        newest.unlink()
    else:
        changed = (
            contents[:middle] + bytes(byte ^ 255 for byte in contents[middle : middle + 64]) + contents[middle + 64 :]
        )
        newest.write_bytes(dict(cut=contents[:middle], changed=changed, empty=b'')[damage])
    goes_on()
    if damage != 'gone':
        logs = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
        assert re.search(rf'{newest.name} .*; the run goes on from \S+iter_\d+\.pth', logs)
