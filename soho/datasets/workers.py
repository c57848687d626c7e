"""Initialisation of the data loaders' worker processes."""

import gc
import os

import cv2

from soho.platform import keep_freed_memory
from soho.registry import FUNCTIONS


@FUNCTIONS.register_module()
def init_worker(worker_id: int) -> None:
    """Set up a worker process: one thread, freed memory kept for the next batch, shared objects not copied.

    The default ``worker_init_fn`` of every loader. Random choices depend on
    the sample's key alone, so nothing is seeded here.

    Args:
        worker_id: Number of the worker.
    """
    cv2.setNumThreads(0)
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    # The garbage collector would write to, and thereby copy, every inherited object.
    gc.freeze()
    keep_freed_memory()
