"""How a command ends that cannot go on: with a sentence, and what only a developer reads in the log."""

import difflib
import io
import itertools
import logging
import os
import reprlib
import signal
import sys
import traceback
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LONGEST_SENTENCE = 1200
"""Characters of a sentence to a person: whatever it quotes, its beginning and its end stay."""
_OF_A_WORKER = 'Caught '  # torch hands on what a worker raised as its whole traceback, whose last line is the message


class UserError(ValueError):
    """What a person got wrong in a config, a command or data.

    Args:
        message: One sentence to that person: what, where, and what would be right. Values in it are shortened where it
            is made, by :func:`quote` and the like; of what is still longer than ``LONGEST_SENTENCE`` the middle is left
            out.
    """

    def __init__(self, message: str = '') -> None:
        super().__init__(message if message.startswith(_OF_A_WORKER) else shorten(message, LONGEST_SENTENCE))


class TrainingError(RuntimeError):
    """A run that cannot go on by itself, though nothing that it was given is wrong."""


class Stopped(KeyboardInterrupt):
    """The end of a run that was told to stop and has saved what it had; the message says where."""


STOPPED_CODE = 75
"""Exit code of such a run (``EX_TEMPFAIL`` of sysexits.h): the same command with ``--resume`` goes on."""

USER_ERRORS = (UserError, OSError)

_CLIPPED = 60  # characters of a value that a message shows
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = _CLIPPED
_REPR.maxlevel = 2


def quote(value: Any) -> str:
    """Return a value as Python writes it, shortened for a message; a value may be a whole file's text."""
    return _REPR.repr(value)


def suggest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``; did you mean ...?`` where one of ``known`` is close to a name that is not among them, else nothing."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f'; did you mean {quote(close[0])}?' if close else ''


def clip(name: Any) -> str:
    """Return a name without quotation marks on one line, shortened in its middle; see :func:`quote`."""
    text = shorten(str(name), 4 * _CLIPPED + 3)
    return text if text.isprintable() else repr(text)[1:-1]


def shorten(text: str, most: int) -> str:
    """Return a text of at most so many characters, with three dots in the place of its middle where it has more."""
    half = (most - 3) // 2
    return text if len(text) <= most else f'{text[:half]}...{text[-half:]}'


def enumerate_names(names: Collection[Any], most: int = 8) -> str:
    """Return the first ``most`` of ``names``, quoted and separated by commas, or ``none``."""
    shown = [quote(name) for name in itertools.islice(names, most)]
    if len(names) > most:
        shown.append('...')
    return ', '.join(shown) or 'none'


def write_option(name: str, value: str) -> str:
    """Return how an argument is given in Python and in the shell, for a sentence that people read in both."""
    return f'as in {name}={value!r} (in the shell --{name.replace("_", "-")} {value})'


def count_of(number: int, noun: str) -> str:
    """Return ``1 image`` or ``2 images``."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


@contextmanager
def exit_on_user_error(output: os.PathLike | None = None) -> Generator[None, None, None]:
    """End the program with a sentence and exit code 1 instead of a traceback; ``SOHO_TRACEBACK=1`` shows both.

    What a person can put right is said in a sentence: a :class:`UserError`, and whatever the system refuses
    before a run has begun. Anything else goes with its traceback into the log of the run,
    and the sentence says where; without such a log the traceback is shown, but for a :class:`TrainingError`. A run that
    was told to stop ends with the code 75, a second Ctrl-C with 130.

    Of several processes that torchrun has started on a machine, the first that fails says so; what the others meet
    then follows from it. What a terminal cannot show is printed as its escape, from here on.

    Args:
        output: What is being made, to be named where the system refuses it (a full disk).
    """
    escape_what_cannot_be_printed()
    earlier = _log_file()
    try:
        yield
    except Stopped:
        raise SystemExit(STOPPED_CODE) from None  # its log says all
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        if os.environ.get('SOHO_TRACEBACK'):
            raise
        log = _log_file()
        if isinstance(error, UserError) or (isinstance(error, OSError) and log in (None, earlier)):
            refused = output is not None and isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
            raise _exit(f'{f"{output} could not be made: " if refused else ""}{format_error(error)}') from None
        if log is None or log == earlier:
            if isinstance(error, TrainingError):  # of a rank that keeps no log; its sentence says all
                raise _exit(format_error(error)) from None
            if not _is_first_to_fail():
                raise SystemExit(1) from None
            raise
        where = ''
        with suppress(OSError):  # as on a full disk
            with open(log, 'a', encoding='utf-8') as file:
                traceback.print_exception(error, file=file)
            where = f' (traceback in {log})'
        kind = '' if isinstance(error, (TrainingError, OSError)) else f'{type(error).__name__}: '
        message = first_line(format_error(error))
        raise _exit(f'{kind}{message}{where}') from None


def escape_what_cannot_be_printed() -> None:
    """Let stdout print any text: a character that its encoding lacks as an escape, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')


def _exit(sentence: str) -> SystemExit:
    return SystemExit(f'error: {shorten(sentence, LONGEST_SENTENCE)}' if _is_first_to_fail() else 1)


def _is_first_to_fail() -> bool:
    """Whether no other process of the same torchrun on this machine has called this before."""
    error_file = os.environ.get('TORCHELASTIC_ERROR_FILE')  # in a folder of this process, in one of all of them
    if not error_file:
        return True
    try:
        Path(error_file).parents[1].joinpath('failed').touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # without such a folder each speaks for itself
        return True
    return True


def _log_file() -> str | None:
    """The file that the newest run of this process writes its log to, where there is one."""
    mmengine = sys.modules.get('mmengine.logging')  # who has not imported it has no run
    if mmengine is None or not mmengine.MMLogger._instance_dict:
        return None
    handlers = mmengine.MMLogger.get_current_instance().handlers
    return next((handler.baseFilename for handler in handlers if isinstance(handler, logging.FileHandler)), None)


def format_error(error: Exception) -> str:
    """An error's message; of one in a data worker torch hands on the whole traceback, the message last."""
    message = str(error)
    if message.startswith(_OF_A_WORKER):
        message = message.strip().splitlines()[-1].partition(': ')[2]
    return message


def first_line(text: str, default: str = 'no more is known') -> str:
    """Return the first line of what a library says, which may be long; ``default`` where it says nothing."""
    return (text.strip().splitlines() or [default])[0]
