"""Stop a run whose loss is no longer a number."""

import torch
from mmengine.hooks import Hook

from soho.errors import TrainingError
from soho.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Refuses to train on after a loss that is infinite or not a number.

    Args:
        interval: Iterations between looks; each look waits for the device.

    Raises:
        TrainingError: In ``after_train_iter``, naming the iteration and the loss.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        for name, value in (outputs or {}).items():
            value = torch.as_tensor(value).detach()
            if 'loss' in name and not value.isfinite().all():
                raise TrainingError(
                    f'{name} is {value.tolist()} at iteration {runner.iter + 1}: training stopped; '
                    'lower the learning rate, or resume from the last checkpoint with --resume'
                )
