"""One process at a time holds the lock of a file, and leaves nothing beside it."""

import multiprocessing
from contextlib import suppress

from soho import locks
from soho.locks import file_lock

SPAWN = multiprocessing.get_context('spawn')


def hold(path, pipe):
    pipe.send('started')
    with file_lock(path) as writable:
        pipe.send(writable)
        pipe.recv()


def test_two_processes_cannot_hold_a_lock(tmp_path):
    path = tmp_path / 'new' / 'a.index'
    (ours, theirs), (other_ours, other_theirs) = SPAWN.Pipe(), SPAWN.Pipe()
    processes = [SPAWN.Process(target=hold, args=(path, pipe)) for pipe in (theirs, other_theirs)]
    processes[0].start()
    assert ours.recv() == 'started' and ours.recv() is True
    processes[1].start()
    assert other_ours.recv() == 'started' and not other_ours.poll(0.5)
    ours.send('end')
    assert other_ours.poll(30) and other_ours.recv() is True
    other_ours.send('end')
    for process in processes:
        process.join()
    assert not list(path.parent.iterdir())


def test_a_lock_is_released_after_an_error(tmp_path):
    for _ in range(2):
        with suppress(KeyError), file_lock(tmp_path / 'a'):
            raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / 'blocked').touch()
    with file_lock(tmp_path / 'blocked' / 'a') as writable:
        assert writable is False

    def refuse(*args):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(locks, '_acquire', refuse)
    with file_lock(tmp_path / 'a') as writable:
        assert writable is False
