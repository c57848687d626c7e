"""Peak memory, measured in a new process."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

STATUS = Path('/proc/self/status')


class Memory:
    """Peak memory since construction: of the GPU, or of the process beyond its memory at construction.

    Args:
        device: Device of the tensors.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        self.start = resident('VmRSS')

    def peak(self) -> float:
        """Return the peak in GiB."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**30
        # The kernel counts pages in batches: where nothing was added, the peak may seem to be below the start.
        return max(0, resident('VmHWM') - self.start) / 2**30


def resident(what: str) -> int:
    """Return the bytes of memory that the process holds (``'VmRSS'``) or has held at most (``'VmHWM'``)."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def in_a_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """Return ``function(*args)``, called in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(function, *args).result()
