"""Memory that fell into pieces goes back to the system."""

import torch
from mmengine.hooks import Hook

from soho.platform import release_freed_memory
from soho.registry import HOOKS


@HOOKS.register_module()
class ReleaseMemoryHook(Hook):
    """Now and then, and after validation, a run on a CPU returns what it has freed.

    ``keep_freed_memory`` (:mod:`soho.platform`) is fast because freed memory is
    used again. But where batches differ in size, free pieces seldom fit, and
    a run came to hold three times what it used. Returning them
    costs one step the time of taking new pages.

    Args:
        interval: Iterations.
    """

    def __init__(self, interval: int = 200) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._release()

    def after_val(self, runner) -> None:
        self._release()

    def _release(self) -> None:
        if not torch.accelerator.is_available():
            release_freed_memory()
