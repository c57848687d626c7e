"""A run that is told to stop, or whose save interval has elapsed, saves after a step, on all ranks after the same one.

A validation is left between two batches, and repeated as a whole when the run goes on.

SIGTERM and SIGUSR1, which batch systems send before they take a machine away, and the first Ctrl-C are such requests.
The process then ends with the code 75 (``EX_TEMPFAIL``), so that a script can start the same command again, with
``--resume``: under torchrun ``--max-restarts`` does, under Slurm ``[[ $? == 75 ]] && scontrol requeue $SLURM_JOB_ID``.
Of several processes ``tools/launch.py`` hands signals and code on.
"""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import all_gather_object, get_world_size

from soho.engine.signals import SIGNALS
from soho.ranks import LIMIT, wait_for_all_ranks

EVERY = 16
"""Batches of an evaluation after which ranks agree on whether to go on, so that they need not keep step in each."""


class Interrupted(Exception):
    """All ranks leave an evaluation between two batches, since the run was told to stop."""


class Request(IntEnum):
    """What a rank asks for after a step; what is done is the most that any asks for."""

    NONE = 0
    SAVE = 1
    STOP = 2


class Stopping:
    """Context of a training that handles signals, and in which the ranks agree on what to do.

    Ranks ask after every step and read the answer after the next one, over a group of their own on the host: neither
    waits for a device, and seldom for one another.

    Args:
        timeout: Seconds in which all ranks have to come to the next step; by default :data:`soho.ranks.LIMIT`.

    Attributes:
        received: Name of the signal that this process has got.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timedelta(seconds=timeout or LIMIT)
        self.received: str | None = None
        self._before: dict[int, Any] = {}
        self._group: Any = None
        self._asked = torch.zeros((), dtype=torch.int64)
        self._work: Any = None
        self._evaluation: tuple[int, int] | None = None  # batches of this rank, and of the one that has most

    def __enter__(self) -> 'Stopping':
        self.received, self._work = None, None
        if get_world_size() > 1 and self._group is None:
            self._group = dist.new_group(backend='gloo', timeout=self.timeout)
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == self.received == 'SIGINT':
            raise KeyboardInterrupt
        self.received = name
        again = '; Ctrl-C again stops at once' if name == 'SIGINT' else ''
        os.write(2, f'\n{name}: the run stops after this step and saves it{again}\n'.encode())

    @contextmanager
    def evaluation(self, batches: int) -> Generator[None, None, None]:
        """Context of an evaluation that ends between two batches when the run is told to stop.

        Args:
            batches: Of this rank; where a rank has none, the evaluation goes on to its end.

        Raises:
            Interrupted: The run is to stop, on all ranks.
        """
        counts = all_gather_object(batches)
        self._evaluation = (batches, max(counts)) if min(counts) else None
        try:
            yield
        finally:
            self._evaluation = None

    def after_evaluation_batch(self, number: int) -> None:
        """Leave the evaluation, if there is one and the run is to stop, after a batch of this number."""
        if self._evaluation is None:
            return
        if get_world_size() == 1:
            if self.received:
                raise Interrupted
            return
        own, most = self._evaluation
        # A rank that has fewer batches than another asks as often.
        for each in range(number, most if number + 1 == own else number + 1):
            if each % EVERY == 0 or each == most - 1:
                wait_for_all_ranks()  # with patience: samples differ in size
                self.ask(self.answer())  # what was asked after the last step
                if self.answer() is Request.STOP:
                    raise Interrupted

    def ask(self, request: Request) -> None:
        """Say what this rank asks for after a step."""
        self._asked.fill_(max(request, Request.STOP if self.received else Request.NONE))
        if self._group is not None:
            self._work = dist.all_reduce(self._asked, dist.ReduceOp.MAX, group=self._group, async_op=True)

    def answer(self) -> Request:
        """What all ranks do now; what was asked for last.

        Raises:
            RuntimeError: A rank has not come as far in time; see :func:`soho.ranks.name_absent`.
        """
        if self._work is not None:
            work, self._work = self._work, None
            work.wait()
        answer = Request(int(self._asked))
        self._asked.zero_()
        return answer
