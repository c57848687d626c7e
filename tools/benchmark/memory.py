"""How much memory something takes, at its peak; each thing in a process of its own."""

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
    """Peak memory since it was made: of the GPU, or of the process above what it held then.

    Args:
        device: Where tensors live.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        self.start = resident('VmRSS')

    def peak(self) -> float:
        """GiB."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**30
        return (resident('VmHWM') - self.start) / 2**30


def resident(what: str) -> int:
    """Bytes of memory the process holds (``'VmRSS'``) or has held at most (``'VmHWM'``)."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def in_a_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """What ``function(*args)`` returns, called where nothing has been computed before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(function, *args).result()
