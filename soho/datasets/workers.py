"""What a worker process needs to know before it reads its first sample."""

import gc
import os

import cv2

from soho.platform import keep_freed_memory
from soho.registry import FUNCTIONS


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
    keep_freed_memory()
