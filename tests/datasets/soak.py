"""Feed the readers of every format with damaged files, other ones each time, and keep those that they cannot bear.

    python -m tests.datasets.soak --inputs 100000 --out fuzz.log          (or: make soak)

Each format is tried in a process of its own, which may take so much more memory than at its start and so many seconds
for an input. A reader accepts an input or says one short sentence; anything else, a crash of the interpreter included,
ends the trial of its format, is shown by hypothesis as small as it gets, and the files as they were stay in the
corpus.
"""

import argparse
import faulthandler
import gc
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.datasets.fuzz_targets import TARGETS
from tests.datasets.fuzzing import accepts_or_says, slug
from tests.engine.soak import keep_log
from tools.benchmark.memory import resident

MEMORY = 1 << 30  # bytes beyond those at the start of a format
SECONDS = 20  # of the processor for an input; thirty times as many by the clock, since a machine may be busy
_TALLY = struct.Struct('qqqqd')
_DETAILS = re.compile(r"'[^']*'|\S*/\S*|[0-9]+")


class Tally(NamedTuple):
    """What has come of the inputs of a format."""

    inputs: int
    """How many were tried."""
    sentences: int
    """How many of them a sentence was said of."""
    kinds: int
    """How many of the sentences, and acceptance, differ in more than names and numbers."""
    memory: int
    """Bytes that the process has had at most beyond those at its start."""
    slowest: float
    """Seconds of the processor for an input."""


class TooSlow(BaseException):
    """An input has had its time; not an error that a reader would catch."""


def _give_up(number, frame):
    raise TooSlow(f'an input took more than {SECONDS if number == signal.SIGPROF else 30 * SECONDS} s')


def _allow(seconds: float) -> None:
    """Give this process so much time, or with 0 any."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 30 * seconds)


def try_format(name: str, inputs: int, number: int, files: Path, memory: mmap.mmap) -> None:
    """Try inputs of a format in this process.

    Args:
        name: Of :data:`tests.datasets.fuzz_targets.TARGETS`.
        inputs: How many.
        number: Seed of the inputs.
        files: An empty folder; the files of the last input stay in it.
        memory: Gets the :class:`Tally`.
    """
    target, tried, sentences, slowest = TARGETS[name], 0, 0, 0.0
    kinds: set[str] = set()
    target.prepare(files)
    signal.signal(signal.SIGALRM, _give_up), signal.signal(signal.SIGPROF, _give_up)
    at_start = resident('VmHWM')
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def attempt(data):
        nonlocal tried, sentences, slowest
        read = target.put(files, target.damage(data))
        tried += 1
        started = time.process_time()
        _allow(SECONDS)
        try:
            said = accepts_or_says(read) or ''
            sentences += bool(said)
            kinds.add(_DETAILS.sub('', said))
        finally:
            _allow(0)
            slowest = max(slowest, time.process_time() - started)
            _TALLY.pack_into(memory, 0, tried, sentences, len(kinds), resident('VmHWM') - at_start, slowest)

    while tried < inputs:  # hypothesis stops where it has nothing new
        before = tried
        options = settings(
            max_examples=inputs - tried,
            database=None,  # the seed draws the same inputs again
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        seed(number + tried)(options(given(data=st.data())(attempt)))()
        if tried == before:
            break


def _address_space() -> int:
    return int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()


def try_apart(name: str, inputs: int, number: int, corpus: Path) -> tuple[Tally, str | None]:
    """Try inputs of a format in a process of its own; returns what has come of it, and what went wrong."""
    memory = mmap.mmap(-1, _TALLY.size)
    with tempfile.TemporaryFile('w+') as said, tempfile.TemporaryDirectory() as files:
        pid = os.fork()
        if pid == 0:
            code = 1
            gc.freeze()  # the end of a thread pool from before would wait for threads that a fork lacks
            try:
                sys.stdout = sys.stderr = said
                os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
                faulthandler.enable(said)
                warnings.simplefilter('ignore')
                try_format(name, inputs, number, Path(files), memory)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                said.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        output = said.read()
        if code:  # hypothesis ends with the smallest input that it has found
            place = corpus / slug(name)
            shutil.copytree(files, place, dirs_exist_ok=True)
    cause = None if code == 0 else f'{_name(code)}\n{output[-6000:]}'
    return Tally(*_TALLY.unpack_from(memory)), cause


def _name(code: int) -> str:
    return f'ended by {signal.Signals(-code).name}' if code < 0 else 'failed'


def soak(inputs: int, number: int, corpus: Path, log: Callable[[str], None] = print, names=None) -> int:
    """Try so many inputs of all formats together; returns the number of formats that failed.

    Args:
        inputs: How many.
        number: Seed.
        corpus: Folder for what readers cannot bear.
        log: Is told of each format.
        names: Formats, by default all.
    """
    names = list(TARGETS if names is None else names)
    tallies, failed = [], []
    for position, name in enumerate(names):
        share = inputs * (position + 1) // len(names) - inputs * position // len(names)
        started = time.monotonic()
        tally, cause = try_apart(name, share, number, corpus)
        tallies.append(tally)
        log(
            f'{name}: {tally.inputs} inputs, {tally.sentences} sentences of {tally.kinds} kinds, '
            f'{tally.memory >> 20} MiB, slowest {tally.slowest:.2f} s, {time.monotonic() - started:.0f} s in all; '
            f'{sum(t.inputs for t in tallies)} so far'
        )
        if cause is not None:
            failed.append(name)
            log(f'{name}: {cause}')
    named = f' ({", ".join(failed)})' if failed else ''
    total, sentences = sum(t.inputs for t in tallies), sum(t.sentences for t in tallies)
    log(
        f'{total} inputs of {len(names)} formats: {total - sentences} accepted, {sentences} sentences, '
        f'{len(failed)} formats failed{named}; at most '
        f'{max(t.memory for t in tallies) >> 20} MiB and {max(t.slowest for t in tallies):.2f} s; seed {number}'
    )
    return len(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--inputs', type=int, default=100_000, help='of all formats together')
    parser.add_argument('--seed', type=int, default=None, help='of the inputs; by default another one each time')
    parser.add_argument('--formats', nargs='+', choices=TARGETS, metavar='NAME', help='by default all')
    parser.add_argument('--corpus', type=Path, default=Path('work_dirs/fuzz'), help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='file that keeps what is printed')
    args = parser.parse_args()
    number = random.randrange(10**6) if args.seed is None else args.seed
    log = keep_log(args.out)
    log(f'seed {number}')
    torch.set_num_threads(1)  # those of a parent do not come along, and a fork would wait for them
    sys.exit(soak(args.inputs, number, args.corpus, log, args.formats) > 0)


if __name__ == '__main__':
    main()
