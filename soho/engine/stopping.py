"""A run that is told to stop, or whose hour has come, saves after a step, on all ranks after the same one.

SIGTERM and SIGUSR1, which batch systems send before they take a machine away, and the first Ctrl-C are such words.
The process then ends with the code 75 (``EX_TEMPFAIL``), so that a script can start the same command again, with
``--resume``: under torchrun ``--max-restarts`` does, under Slurm ``[[ $? == 75 ]] && scontrol requeue $SLURM_JOB_ID``.
"""

import os
import signal
import threading
from datetime import timedelta
from enum import IntEnum
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size

from soho.errors import TrainingError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
ROLL_CALL = timedelta(seconds=20)


class Request(IntEnum):
    """What a rank asks for after a step; what is done is the most that any asks for."""

    NONE = 0
    SAVE = 1
    STOP = 2


class Stopping:
    """Context of a training that hears signals, and in which the ranks agree on what to do.

    Ranks ask after every step and read the answer after the next one, over a group of their own on the host: neither
    waits for a device, and seldom for one another.

    Args:
        timeout: Seconds after which a rank that has not come to the next step is reported; by default 30 minutes.

    Attributes:
        received: Name of the signal that this process has got.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timedelta(seconds=timeout or 1800)
        self.received: str | None = None
        self._before: dict[int, Any] = {}
        self._groups: list[Any] = []
        self._asked = torch.zeros((), dtype=torch.int64)
        self._work: Any = None

    def __enter__(self) -> 'Stopping':
        self.received, self._work = None, None
        if get_world_size() > 1 and not self._groups:
            # A group that has waited in vain is of no use any more, so that the roll is called in another.
            self._groups = [dist.new_group(backend='gloo', timeout=limit) for limit in (self.timeout, ROLL_CALL)]
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == self.received == 'SIGINT':
            raise KeyboardInterrupt
        self.received = name
        again = '; Ctrl-C again stops at once' if name == 'SIGINT' else ''
        os.write(2, f'\n{name}: the run stops after this step and saves it{again}\n'.encode())

    def ask(self, request: Request) -> None:
        """Say what this rank asks for after a step."""
        self._asked.fill_(max(request, Request.STOP if self.received else Request.NONE))
        if self._groups:
            self._work = dist.all_reduce(self._asked, dist.ReduceOp.MAX, group=self._groups[0], async_op=True)

    def answer(self) -> Request:
        """What all ranks do now; what was asked for last.

        Raises:
            TrainingError: A rank has not come as far in time.
        """
        if self._work is not None:
            work, self._work = self._work, None
            try:
                work.wait()
            except RuntimeError as error:
                raise self.name_absent(error) from error
        answer = Request(int(self._asked))
        self._asked.zero_()
        return answer

    def name_absent(self, error: Exception) -> Exception:
        """An error that says which ranks do not answer, in place of one after a wait in vain."""
        text = str(error).lower()
        if not self._groups or not any(word in text for word in ('timed out', 'timeout', 'connection', 'peer')):
            return error
        try:
            dist.monitored_barrier(self._groups[1], timeout=ROLL_CALL, wait_all_ranks=True)
        except RuntimeError as absent:
            reason = str(absent).strip().splitlines()[0]
            return TrainingError(f'the ranks do not keep step, and one hangs or is gone: {reason} (at first: {error})')
        return TrainingError(f'the ranks have waited for one another in vain, and all still answer: {error}')
