"""Pass on what the processes of torchrun say on stderr, and leave out what torchrun says of their failing.

    python -m torch.distributed.run ... 2> >(python tools/launch_errors.py)

A process that fails says why; torchrun adds a traceback of its own and a table, forty lines in all. What no process
can say of itself, that a signal ended it, becomes a sentence. tools/launch.sh uses this; torchrun has no option for it.
"""

import re
import signal
import sys
from collections.abc import Iterable, Iterator

LOG = re.compile(r'[WE]\d{4} \d\d:\d\d:\d\d\.\d+ \d+ \S*torch/distributed/elastic/')
ERRORS = 'torch.distributed.elastic.multiprocessing.'
FIRST_FAILURE = re.compile(r'Root Cause.*?\srank\s*: (\d+).*?\sexitcode\s*: -(\d+)', re.DOTALL)


def without_launcher(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of stderr that are not torchrun's, and at the end a sentence for a process that was killed."""
    traceback: list[str] = []
    lines = iter(lines)
    for line in lines:
        if not traceback and LOG.match(line):
            continue
        if not traceback and not line.startswith('Traceback (most recent call last):'):
            yield line
            continue
        traceback.append(line)
        if len(traceback) == 1 or line.startswith((' ', '\n')):
            continue
        if line.startswith(f'{ERRORS}errors.ChildFailedError'):
            if killed := FIRST_FAILURE.search(''.join(lines)):  # torchrun says nothing after its table
                yield (
                    f'error: rank {killed[1]} was ended by signal {killed[2]} ({signal_name(int(killed[2]))}), as '
                    'where memory ran out\n'
                )
        elif line.startswith(f'{ERRORS}api.SignalException'):
            yield f'error: stopped by a signal: {line.partition(": ")[2]}'
        else:
            yield from traceback
        traceback = []
    yield from traceback


def signal_name(number: int) -> str:
    """``'SIGKILL'`` of 9."""
    return signal.Signals(number).name if number in set(signal.Signals) else 'unknown'


def main() -> None:
    # As long as there is something to pass on: a signal for the whole group ends torchrun, and that ends this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.reconfigure(errors='surrogateescape')
    sys.stderr.reconfigure(errors='surrogateescape')
    for line in without_launcher(sys.stdin):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == '__main__':
    main()
