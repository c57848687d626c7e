"""Initialisation of the data loaders' worker processes."""

import gc
import os
import signal
import threading

import cv2

from soho.platform import keep_freed_memory
from soho.registry import FUNCTIONS


@FUNCTIONS.register_module()
def init_worker(worker_id: int) -> None:
    """Set up a worker process: one thread, freed memory kept for the next batch, shared objects not copied.

    The default ``worker_init_fn`` of every loader. Random choices depend on
    the sample's key alone, so nothing is seeded here. Signals that tell a run to stop, which a terminal or a
    batch system sends to all of its processes, are its main process's to answer.

    Args:
        worker_id: Number of the worker.
    """
    cv2.setNumThreads(0)
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    # The garbage collector would write to, and thereby copy, every inherited object.
    gc.freeze()
    keep_freed_memory()
    _leave_signals_to_parent()


def _leave_signals_to_parent() -> None:
    """End by SIGTERM only if the parent sends it, as it does to a worker that it no longer needs."""
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):  # not on a Mac
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
