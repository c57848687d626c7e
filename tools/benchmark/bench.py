"""What all measurements share: how time and memory are taken."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from soho.platform import keep_freed_memory, use_onednn_products
from tools.benchmark.memory import Memory

Rows = list[tuple[str, float, str]]
"""Figures: what, how much, and its unit. What comes before ``': '`` is the heading under which it is printed."""

WARM_UP = 2  # measurements that do not count


class Bench:
    """What all measurements share: the device, the number type and how often.

    Args:
        args: The command line.
        tuned: With the settings that a run of this project has: on a CPU see
            :mod:`soho.platform`, on a GPU cuDNN looks for its fastest convolutions.
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
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any]) -> float:
        """Median seconds of a call."""
        return self.split([call])[0]

    def split(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Median seconds of each of several calls that follow each other."""
        rounds = [self.round(calls) for _ in range(self.args.repeat + WARM_UP)]
        return [statistics.median(column) for column in zip(*rounds[WARM_UP:])]

    def round(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Seconds of each of several calls that follow each other, this once."""
        marks = [self._now()]
        for call in calls:
            call()
            marks.append(self._now())
        return [after - before for before, after in zip(marks, marks[1:])]

    def _now(self) -> float:
        self.sync()
        return time.perf_counter()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
