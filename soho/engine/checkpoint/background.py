"""Checkpoints that are written while the training goes on."""

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from mmengine.utils import apply_to

from soho.engine.checkpoint.save import write_checkpoint


class BackgroundWriter:
    """Context of a training in which checkpoints are copied to host memory at once, and written by a thread.

    The thread does one thing after the other, so that an old checkpoint still goes only when the new one stands; once
    something has failed, it does nothing more. At its end the context waits for what is left. Outside of it all is done
    at once.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: list[Future] = []
        self._error: Exception | None = None

    def __enter__(self) -> 'BackgroundWriter':
        self._pool, self._error = ThreadPoolExecutor(1, thread_name_prefix='checkpoint'), None
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        assert self._pool is not None, 'the context was entered'
        self._pool.shutdown()
        self._pool, self._waiting = None, []
        if error is None or isinstance(error, KeyboardInterrupt):  # any other says already why the run ends
            self.check()

    def write(self, checkpoint: dict[str, Any], path: str | os.PathLike) -> None:
        """Write a checkpoint as it is now, whatever becomes of its tensors; see :func:`write_checkpoint`.

        Before it waits for the last one, so that there is one copy at a time.
        """
        if self._pool is not None:
            self.wait()
            checkpoint = apply_to(checkpoint, lambda value: isinstance(value, torch.Tensor), lambda value: value.cpu())
            checkpoint = copy.deepcopy(checkpoint)  # a tensor that is there twice is copied once
        self.submit(partial(write_checkpoint, checkpoint, path))

    def submit(self, action: Callable[[], Any]) -> None:
        """Do something after all that was asked for before."""
        if self._pool is None:
            action()
        else:
            self._waiting.append(self._pool.submit(self._run, action))

    def _run(self, action: Callable[[], Any]) -> None:
        if self._error is None:
            try:
                action()
            except Exception as error:
                self._error = error

    def wait(self) -> None:
        """Wait until all is done.

        Raises:
            TrainingError: A checkpoint could not be written.
        """
        while self._waiting:
            self._waiting.pop(0).result()
        self.check()

    def check(self) -> None:
        """Raise what has failed so far, without waiting.

        Raises:
            TrainingError: A checkpoint could not be written.
        """
        if self._error is not None:
            raise self._error
