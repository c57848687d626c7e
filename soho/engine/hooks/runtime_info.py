"""What happens in a run, told to the message hub without waiting for the device in every step."""

from typing import Any

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from torch import Tensor

from soho.registry import HOOKS


@HOOKS.register_module(force=True)
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """As mmengine's, but losses stay on the device until somebody wants to read them.

    To hand a number to Python the host waits until the device has computed
    it, and only then prepares the next step. Here the numbers of several steps are
    fetched at once: every ``interval`` iterations, at the end of an epoch,
    and before validation or a checkpoint. The history is the same.

    Args:
        interval: Iterations; by default as often as the logger prints.
    """

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()
        self.interval: Any = interval  # an int from `before_train` on
        self._waiting: list[tuple[str, Tensor]] = []

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.interval is None:
            self.interval = min((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), default=1)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        values = dict(outputs or {})
        # Of soho.engine.optimizers.optim_wrapper; others tell it themselves.
        values.update(getattr(runner.optim_wrapper, 'take_grad_norm', dict)())
        self._waiting += [(name, torch.as_tensor(value).detach().reshape(())) for name, value in values.items()]
        if (
            self.every_n_inner_iters(batch_idx, self.interval)
            or self.is_last_train_iter(runner)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            self._tell(runner)

    def before_val(self, runner) -> None:
        self._tell(runner)
        super().before_val(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._tell(runner)
        checkpoint['message_hub'] = runner.message_hub.state_dict()  # it was put there before the hooks were asked

    def after_train(self, runner) -> None:
        self._tell(runner)
        super().after_train(runner)

    def _tell(self, runner) -> None:
        if self._waiting:
            names, values = zip(*self._waiting)
            device = next((value.device for value in values if value.device.type != 'cpu'), 'cpu')
            numbers = torch.stack([value.to(device) for value in values]).tolist()
            for name, number in zip(names, numbers):
                runner.message_hub.update_scalar(f'train/{name}', number)
            self._waiting.clear()
