"""Files that are whole or not there: atomic writing, and a lock between processes.

Every file that this project keeps is written through :func:`atomic_write` or :func:`atomic_path`.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TextIO

PathLike = str | os.PathLike


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """A name beside ``path`` to write to; what stands there afterwards takes the name ``path``.

    The contents reach the disk before the name does, so that after a crash ``path`` is either the
    old file or the whole new one. An error inside removes what was written. Missing folders are made.

    Args:
        path: Of the file.

    Yields:
        Where to write, on the same file system and with the same ending. Unique, since containers
        that share a folder may have processes of one number.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.{secrets.token_hex(8)}.tmp{path.suffix}')
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: PathLike, mode: str = 'wb', encoding: str | None = None) -> Iterator[IO[Any]]:
    """A file, open for writing, that takes its name ``path`` only once it is complete; see :func:`atomic_path`.

    Args:
        path: Of the file.
        mode: ``'wb'`` or ``'w'``.
        encoding: Of a text file; UTF-8 by default.
    """
    with atomic_path(path) as temporary:
        with open(temporary, mode, encoding=encoding or (None if 'b' in mode else 'utf-8')) as file:
            yield file


def _flush(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk; some file systems cannot flush folders."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():
            raise
    finally:
        os.close(handle)


@contextmanager
def file_lock(path: PathLike) -> Iterator[bool]:
    """Let one process at a time write ``path``, whose folder is made where it is missing.

    Ours instead of the package ``filelock``: that one leaves its lock file behind, and raises where a
    folder cannot be written, on which callers here go on without the file.

    Args:
        path: Of the file that is to be written.

    Yields:
        False where nothing can be written beside ``path``.
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


def _acquire(path: Path) -> TextIO:
    """The file at ``path``, open and locked by this process."""
    while True:
        lock = open(path, 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: the file is still written at one stroke
            return lock
        # Whoever had it before has removed it, and a third one may have locked a new file of this name meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                return lock
        lock.close()
