"""Run a script in several processes, as torchrun does, which pass on to them what is asked of the whole.

    python tools/launch.py OPTIONS_OF_TORCHRUN SCRIPT [ARGUMENTS...]          (tools/launch.sh knows the options)

- SIGTERM, SIGUSR1 and SIGINT go on to the processes, which save and end, however long that takes them. torchrun itself
  kills them thirty seconds after the first two of its own signals, and dies of SIGUSR1 without them.
- The exit code is 75 where a signal has stopped the run (soho/engine/stopping.py), else that of the process that
  failed first, and 128 and the number of the signal where one was killed. torchrun always ends with 1.
- A process that fails says why, and nothing is added to it: torchrun would, forty lines in all. Of one that was killed,
  which cannot say so itself, a sentence tells.
- The processes are told to stop (SIGTERM) where this one is killed.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any

from soho.errors import STOPPED_CODE

# A terminal that is closed is no reason to lose a step either.
SIGNALS = {signal.SIGTERM: signal.SIGTERM, signal.SIGUSR1: signal.SIGUSR1, signal.SIGINT: signal.SIGINT}
SIGNALS[signal.SIGHUP] = signal.SIGTERM
PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
RANK = '--rank-of-launch'
MEANWHILE = 5.0  # seconds in which other machines come to their end too, before Slurm ends them since one has


class Signals:
    """The signals that this process has got, which go on to all of its children, also to those that come later."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._passed_on: Counter[int] = Counter()  # how many of them each child has got
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        self.received.append(SIGNALS[signal.Signals(number)])
        self.pass_on()

    def pass_on(self) -> None:
        """Send each child what it has not got yet."""
        for pid in find_children() if self.received else ():
            for number in self.received[self._passed_on[pid] :]:
                self._passed_on[pid] += 1
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


def find_children() -> list[int]:
    """Numbers of the child processes."""
    if lists := glob('/proc/self/task/*/children'):  # of each thread
        return [int(pid) for path in lists for pid in Path(path).read_text().split()]
    found = subprocess.run(['pgrep', '-P', str(os.getpid())], capture_output=True, text=True)  # as on a Mac
    return [int(pid) for pid in found.stdout.split()]


def launch(argv: Sequence[str]) -> int:
    """Run what torchrun's command line says; returns the exit code."""
    signals = Signals()
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    args = parse_args(argv)
    args.training_script_args = [RANK, args.training_script, *args.training_script_args]
    args.training_script = __file__
    logging.disable(logging.ERROR)
    if signals.received:
        return STOPPED_CODE
    with ThreadPoolExecutor(1) as pool:  # torchrun answers signals itself where it runs in the main thread
        running = pool.submit(run, args)
        while not wait([running], 0.2).done:
            signals.pass_on()
    try:
        running.result()
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        if code == STOPPED_CODE or -code in signals.received:  # which it did not hear yet
            if args.nnodes != '1':
                time.sleep(MEANWHILE)
            return STOPPED_CODE
        if code >= 0:
            return code
        reason = ', as where memory ran out' if -code == signal.SIGKILL else ''
        print(f'error: rank {rank} was ended by signal {-code} ({signal_name(-code)}){reason}', file=sys.stderr)
        return 128 - code
    return 0


def signal_name(number: int) -> str:
    """``'SIGKILL'`` of 9."""
    return signal.Signals(number).name if number in set(signal.Signals) else 'unknown'


def run_script(command: Sequence[str]) -> None:
    """Replace this process by one that runs a script, and is told to stop where its launcher is killed."""
    launcher = os.getppid()
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != launcher:
            sys.exit(STOPPED_CODE)
    os.execv(sys.executable, [sys.executable, '-u', *command])


if __name__ == '__main__':
    if sys.argv[1:2] == [RANK]:
        run_script(sys.argv[2:])
    sys.exit(launch(sys.argv[1:]))
