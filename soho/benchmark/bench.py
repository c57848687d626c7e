"""What all measurements share: how time and memory are taken."""
import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from soho.benchmark.memory import Memory
from soho.engine.cpu import use_onednn_products

Rows = list[tuple[str, float, str]]
"""Figures: what, how much, and its unit. What comes before ``': '`` is the heading under which it is printed."""

WARM_UP = 2  # measurements that do not count


class Bench:
    """What all measurements share: the device, the number type and how often.

    On a CPU matrix products go to oneDNN, as in a run of this project (``env_cfg.onednn_products``).

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        self.onednn = self.device.type == 'cpu' and use_onednn_products()
        self.memory = Memory(self.device)

    def sync(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any]) -> float:
        """Median seconds of a call."""
        return self.split([call])[0]

    def split(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Median seconds of each of several calls that follow each other."""
        times = []
        for _ in range(self.args.repeat + WARM_UP):
            marks = [self._now()]
            for call in calls:
                call()
                marks.append(self._now())
            times.append([after - before for before, after in zip(marks, marks[1:])])
        return [statistics.median(column) for column in zip(*times[WARM_UP:])]

    def race(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
        """Median seconds of calls that are compared: they take turns, so that what disturbs one disturbs all."""
        return dict(zip(calls, self.split(list(calls.values()))))

    def versus(self, what: str, ours: Callable[[], Any], **theirs: Callable[[], Any]) -> Rows:
        """Ours against others, in milliseconds and as a ratio."""
        times = self.race(dict(ours=ours, **theirs))
        rows = [(f'{what}: {_plain(name)}', 1000 * value, 'ms') for name, value in times.items()]
        return rows + [(f'{what}: faster than {_plain(name)}', times[name] / times['ours'], 'times') for name in theirs]

    def with_mkl(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """The call with matrix products as torch computes them by default."""

        def run() -> None:
            torch.set_float32_matmul_precision('highest')
            try:
                call()
            finally:
                if self.onednn:
                    torch.set_float32_matmul_precision('medium')

        return run if self.onednn else call

    def as_published(self, name: str, call: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
        """A contestant by its own products and, where we use another library for them, with that one as well."""
        return {name: self.with_mkl(call), **({f'{name}_with_our_products': call} if self.onednn else {})}

    def _now(self) -> float:
        self.sync()
        return time.perf_counter()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def _plain(name: str) -> str:
    return name.replace('_', ' ')
