"""What happens in a run, told to the message hub without waiting for the device in every step."""

from typing import Any

import torch
from mmengine.hooks import LoggerHook
from mmengine.hooks import RuntimeInfoHook as MMEngineRuntimeInfoHook
from mmengine.logging import HistoryBuffer
from torch import Tensor

from soho.engine.checkpoint.read import VALIDATED_ITER
from soho.registry import HOOKS

HISTORY_LENGTH = 1000
"""Values of a scalar that are kept at least; 16 kB of a checkpoint."""


@HOOKS.register_module(force=True)
class RuntimeInfoHook(MMEngineRuntimeInfoHook):
    """As mmengine's, but losses stay on the device until somebody wants to read them.

    To hand a number to Python the host waits until the device has computed
    it, and only then prepares the next step. Here the numbers of several steps are
    fetched at once: every ``interval`` iterations, at the end of an epoch,
    and before validation or a checkpoint. The history is the same.

    Of each scalar as many of the latest values are kept as somebody reads:
    mmengine keeps a million, copies them all to append one, and writes them
    into every checkpoint.

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
        self._bound_histories(runner)  # those of a resumed run

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
            self._flush_scalars(runner)

    def before_val(self, runner) -> None:
        self._flush_scalars(runner)
        super().before_val(runner)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(VALIDATED_ITER, runner.iter)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._flush_scalars(runner)
        checkpoint['message_hub'] = runner.message_hub.state_dict()  # it was put there before the hooks were asked

    def after_train(self, runner) -> None:
        self._flush_scalars(runner)
        super().after_train(runner)

    def _flush_scalars(self, runner) -> None:
        if self._waiting:
            names, values = zip(*self._waiting)
            device = next((value.device for value in values if value.device.type != 'cpu'), 'cpu')
            numbers = torch.stack([value.to(device) for value in values]).tolist()
            for name, number in zip(names, numbers):
                runner.message_hub.update_scalar(f'train/{name}', number)
            self._waiting.clear()
            self._bound_histories(runner)

    def _bound_histories(self, runner) -> None:
        scalars = runner.message_hub.log_scalars
        for key, buffer in scalars.items():
            length = history_length(runner, key)
            if buffer.max_length != length:
                scalars[key] = HistoryBuffer(*(values[-length:] for values in buffer.data), max_length=length)


def history_length(runner, key: str) -> int:
    """Number of the latest values of a scalar that mmengine's ``LogProcessor`` reads, and never less than 1000.

    It takes the mean over ``window_size`` values, the latest value, and what its ``custom_cfg`` asks for: over
    a number of values, over the epoch so far, or over all. After a validation it takes the mean time of its
    iterations, and those of an earlier one are not among them.

    Args:
        runner: The runner, with its log processor and, in training, its loops.
        key: ``train/loss``.
    """
    processor = runner.log_processor
    mode, _, name = key.partition('/')
    windows = [HISTORY_LENGTH, processor.window_size]
    options = [cfg for cfg in processor.custom_cfg if cfg['data_src'] in (key, name)]
    asked = [cfg.get('window_size', 'global') for cfg in options if cfg.get('method_name') != 'current']
    if 'global' in asked:
        return HistoryBuffer().max_length
    loop = dict(train=runner.train_loop, val=runner.val_loop).get(mode)
    if loop is not None and ('epoch' in asked or mode == 'val'):
        windows.append(len(loop.dataloader))
    return max(windows + [window for window in asked if isinstance(window, int)])
