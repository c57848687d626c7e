"""What all measurements share: how time and memory are taken."""
import argparse
import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

Rows = list[tuple[str, float, str]]
"""Figures: what, how much, and its unit."""


class Bench:
    """What all measurements share: the device, the number type and how often.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        self.matrix_rate = 0.0  # FLOP/s, once measured

    def sync(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any]) -> float:
        """Median seconds of a call."""
        return self.split([call])[0]

    def split(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Median seconds of each of several calls that follow each other."""
        times = []
        for _ in range(self.args.repeat + 2):
            marks = [self._now()]
            for call in calls:
                call()
                marks.append(self._now())
            times.append([after - before for before, after in zip(marks, marks[1:])])
        return [statistics.median(column) for column in zip(*times[2:])]

    def _now(self) -> float:
        self.sync()
        return time.perf_counter()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def reset_memory(self) -> None:
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_memory(self) -> float:
        """Peak GiB: of the GPU since the last reset; without one of the whole process so far."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**30
        scale = 1 if sys.platform == 'darwin' else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30
