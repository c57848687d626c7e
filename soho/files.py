"""Files and folders that are complete or absent.

Every file that this project keeps is written through :func:`atomic_path` or one of the functions on top of it.
"""

import errno
import gzip
import hashlib
import io
import os
import re
import secrets
import shutil
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TextIO

from soho.errors import TrainingError, UserError, clip
from soho.locks import file_lock

PathLike = str | os.PathLike

LONGEST_TEXT = 1 << 28
"""Bytes of a file that is read as a whole, and characters of one that is packed or of a line of any."""
_TEMPORARY = re.compile(r'\..+\.[0-9a-f]{16}\.tmp(\.[^.]*)?')  # names of atomic_path
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(path: PathLike) -> Generator[Path, None, None]:
    """Yield a temporary name beside ``path``; what was written to it takes the name ``path`` at the end.

    The contents reach the disk before the name does, so that after a crash ``path`` is either the
    old file or the whole new one. An error inside removes what was written and leaves the old file.

    Args:
        path: Path of the file. Missing folders are made. A pipe or a device is written directly.

    Yields:
        A path on the same file system with the same ending. It is random rather than made of the process
        number, since containers that share a folder may have processes of one number.

    Raises:
        OSError: The file cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.stem}.{secrets.token_hex(8)}.tmp{path.suffix}')
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in _FULL and error.filename in (None, os.fspath(temporary)):
            error.filename = os.fspath(path)  # which the system does not say of a file that is open
        raise
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can flush a folder, and the file itself is complete
        flush(path.parent)


@contextmanager
def atomic_write(path: PathLike, mode: str = 'wb', encoding: str | None = None) -> Generator[IO[Any], None, None]:
    """Yield a file open for writing that takes its name ``path`` only once it is complete; see :func:`atomic_path`.

    Args:
        path: Path of the file.
        mode: ``'wb'`` or ``'w'``.
        encoding: Encoding of a text file; UTF-8 by default.
    """
    with atomic_path(path) as temporary:
        with open(temporary, mode, encoding=encoding or (None if 'b' in mode else 'utf-8')) as file:
            yield file


def write_text(path: PathLike, text: str) -> None:
    """Write a UTF-8 text file atomically; see :func:`atomic_path`."""
    with atomic_write(path, 'w') as file:
        file.write(text)


def open_text(path: PathLike, newline: str | None = None, encoding: str = 'utf-8-sig') -> TextIO:
    """Open a text file for reading; a byte-order mark is skipped, and all kinds of line ends become ``\\n``.

    Args:
        path: Path of the file.
        newline: ``''`` keeps the line ends as they are, which the ``csv`` module asks for.
        encoding: By default UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
    """
    try:
        return open(path, encoding=encoding, newline=newline)
    except FileNotFoundError as error:
        raise _missing(path) from error


def _missing(path: PathLike) -> FileNotFoundError:
    return FileNotFoundError(f'There is no file {clip(path)}.')


def read_bytes(path: PathLike) -> bytes:
    """Return the contents of a file that is read as a whole.

    Raises:
        FileNotFoundError: There is no such file, or a part of its name is longer than any.
        UserError: It has more than ``LONGEST_TEXT`` bytes.
    """
    try:
        with open(path, 'rb') as file:
            data = file.read(LONGEST_TEXT + 1)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise
        raise _missing(path) from error
    if len(data) > LONGEST_TEXT:
        raise UserError(f'{path} has more than {LONGEST_TEXT} bytes, which is more than a file of its kind has.')
    return data


def read_text(path: PathLike) -> str:
    """Return the contents of a UTF-8 text file; see :func:`open_text`.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not UTF-8, or has more than ``LONGEST_TEXT`` bytes.
    """
    try:
        return io.StringIO(read_bytes(path).decode('utf-8-sig'), newline=None).read()
    except UnicodeDecodeError as error:
        raise UserError(
            f'{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8.'
        ) from error


def read_lines(path: PathLike) -> list[str]:
    """Return the lines of a UTF-8 text file without their ends; see :func:`read_text`.

    Only the end of a line ends it: ``str.splitlines`` also divides at form feeds and at U+2028, which may be
    part of an answer or of a name.
    """
    lines = read_text(path).split('\n')
    return lines[:-1] if not lines[-1] else lines


def iterate_lines(path: PathLike, newline: str | None = None) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file with their ends, one at a time; see :func:`open_text`.

    Args:
        path: Path of the file; one whose name ends in ``.gz`` is unpacked.
        newline: See :func:`open_text`.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not UTF-8, a line has more than ``LONGEST_TEXT`` characters, or a packed file is damaged or has
            more than that altogether.
    """
    packed = os.fspath(path).endswith('.gz')
    unpacked = 0
    with _open_packed(path, newline) if packed else open_text(path, newline) as file:
        try:
            for line in iter(partial(file.readline, LONGEST_TEXT + 1), ''):
                if len(line) > LONGEST_TEXT:
                    raise UserError(f'{path} has a line of more than {LONGEST_TEXT} characters.')
                if packed:
                    unpacked += len(line)
                    if unpacked > LONGEST_TEXT:
                        raise UserError(
                            f'{path} has more than {LONGEST_TEXT} characters; without .gz it may have them.'
                        )
                yield line
        except UnicodeDecodeError as error:
            raise UserError(f'{path} is not UTF-8 text ({error.reason}).') from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f'{path} is no complete gzip file: {error}') from error


def _open_packed(path: PathLike, newline: str | None) -> TextIO:
    try:
        return gzip.open(path, 'rt', encoding='utf-8-sig', newline=newline)
    except FileNotFoundError as error:
        raise _missing(path) from error


def hash_file(path: PathLike) -> str:
    """Return the SHA-256 of a file, of any size, in hexadecimal digits.

    Raises:
        FileNotFoundError: There is no such file.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def scratch_folder(path: PathLike) -> Generator[Path, None, None]:
    """Yield an empty folder beside ``path`` to work in; it is removed at the end.

    Its name is always the same, so that the next call removes what a killed process left there, which may be
    hundreds of gigabytes. A second process that wants the same folder waits.

    Args:
        path: Path of the file or folder that is being made.

    Raises:
        OSError: The folder cannot be made.
    """
    path = Path(path)
    folder = path.with_name(f'.{path.name}.part')
    with file_lock(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: PathLike) -> Generator[Path, None, None]:
    """Yield a folder to fill, which takes the name ``path`` only once it is complete.

    An error inside removes what was written.

    Args:
        path: Path of the folder; it must be absent or empty.

    Raises:
        OSError: The folder cannot be written, or ``path`` holds files.
    """
    with scratch_folder(path) as folder:
        yield folder
        os.sync()  # one wait instead of one for each of what may be a hundred thousand files
        os.replace(folder, path)


@contextmanager
def name_full_disk(folder: PathLike) -> Generator[None, None, None]:
    """Context of a run, in which a disk that is full is said in one sentence, also where a thread notices it.

    Args:
        folder: Where the run writes, to be named where nobody knows the file.

    Raises:
        TrainingError: In place of the system's error.
    """
    default_hook = threading.excepthook

    def ignore_full_disk(args: threading.ExceptHookArgs) -> None:
        # TensorBoard's thread: whoever writes next, or closes the file, gets the error.
        if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in _FULL):
            default_hook(args)

    threading.excepthook = ignore_full_disk
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise make_write_error(error.filename or f'what the run writes to {os.fspath(folder)}', error) from error
    finally:
        threading.excepthook = default_hook


def make_write_error(what: Any, error: OSError) -> TrainingError:
    """Return an error that says what could not be written, and why."""
    return TrainingError(
        f'{what} could not be written ({error.strerror}): make room, and go on from the last checkpoint with --resume'
    )


def flush(path: PathLike) -> None:
    """Wait until the contents of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: They cannot be written; or a folder's file system has no such thing.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: PathLike) -> list[str]:
    """Remove what killed processes were writing through :func:`atomic_path` into a folder; return the names.

    Args:
        folder: Path of a folder that nobody else writes to now.
    """
    names = [name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name)]
    for name in names:
        Path(folder, name).unlink(missing_ok=True)
    return names
