"""What a worker process needs to know before it reads its first sample."""
import ctypes
import gc
import os

import cv2

from soho.registry import FUNCTIONS

# Of glibc's malloc.h. The largest threshold that mallopt takes is 32 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP, _LARGEST = 1 << 30, 32 << 20


@FUNCTIONS.register_module()
def init_worker(worker_id: int) -> None:
    """One thread a worker, memory that is kept for the next batch, and no copies of what all share.

    The default ``worker_init_fn`` of every loader. Random choices follow from
    the sample, so that there is nothing to seed.

    Args:
        worker_id: Number of the worker.
    """
    cv2.setNumThreads(0)
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    # The collector would write into, and thereby copy, every inherited object.
    gc.freeze()
    # Freed images go back to the kernel by default, which zeroes the pages of the next ones: a fifth of the time.
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEEP)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)


def available_cores() -> int:
    """How many cores this process may use, which in a container are often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
