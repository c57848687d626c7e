"""Measurement of time and memory, shared by all parts."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from soho.platform import keep_freed_memory, use_onednn_products
from tools.benchmark.memory import Memory

Rows = list[tuple[str, float, str]]
"""Metrics: name, value and unit. The part of the name before ``': '`` is the heading under which it is printed."""

WARM_UP = 2  # measurements that are discarded


class Bench:
    """Device, dtype and number of repetitions of a measurement.

    Args:
        args: Options of the command line.
        tuned: Whether to use the settings of a run of this project: on a CPU see
            :mod:`soho.platform`, on a GPU cuDNN's benchmark mode.
    """

    def __init__(self, args: argparse.Namespace, tuned: bool = True) -> None:
        self.args = args
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        if tuned and self.device.type == 'cpu':
            use_onednn_products()
            keep_freed_memory()
        elif tuned:
            torch.backends.cudnn.benchmark = True
        self.memory = Memory(self.device)

    def sync(self) -> None:
        """Wait for the GPU."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any]) -> float:
        """Return the median seconds of a call."""
        return self.split([call])[0]

    def split(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Return the median seconds of each of several consecutive calls."""
        rounds = [self.round(calls) for _ in range(self.args.repeat + WARM_UP)]
        return [statistics.median(column) for column in zip(*rounds[WARM_UP:])]

    def turns(self, calls: Sequence[Callable[[], Any]], number: int) -> list[tuple[float, ...]]:
        """Return for each of several calls its seconds in ``number`` turns, of :meth:`work_now`.

        Each turn begins with the next of them, so that none is always behind the same other one.
        """
        rounds = []
        for turn in range(number + WARM_UP):
            first = turn % len(calls)
            spent = self.round([*calls[first:], *calls[:first]], self.work_now)
            rounds.append([*spent[len(calls) - first :], *spent[: len(calls) - first]])
        return list(zip(*rounds[WARM_UP:]))

    def round(self, calls: Sequence[Callable[[], Any]], now: Callable[[], float] | None = None) -> list[float]:
        """Run consecutive calls once and return the seconds of each, by the clock unless ``now`` is another."""
        now = now or self._now
        marks = [now()]
        for call in calls:
            call()
            marks.append(now())
        return [after - before for before, after in zip(marks, marks[1:])]

    def work_now(self) -> float:
        """Return the processor's seconds of this process, in which other programs do not count; on a GPU the clock."""
        return time.process_time() if self.device.type == 'cpu' else self._now()

    def _now(self) -> float:
        self.sync()
        return time.perf_counter()

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the dtype."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
