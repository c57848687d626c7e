"""What becomes of a run whose loss is no longer a number."""

from collections import deque
from math import isfinite
from statistics import fmean, pstdev
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from soho.engine.distributed import unwrap_model
from soho.engine.loops import TrainLoop
from soho.errors import TrainingError
from soho.registry import HOOKS

SPIKE = 6.0  # standard deviations above the mean of the losses before
BEFORE = 50  # losses at least that tell what is usual


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Says which updates were skipped since loss or gradients were no numbers, and ends a run that skips too many.

    The device decides about an update (:class:`soho.engine.optimizers.optim_wrapper.OptimWrapper`), and the host
    looks at many at once. What a step would make of the running statistics of batch-norms that is no number does not
    stay either. A loss far above those before is said too. The log counts both, once there was one, as
    ``skipped_updates`` and ``loss_jumps``.

    Args:
        interval: Iterations between looks; each look waits for the device.
        max_skipped: Updates skipped one after the other that end the run.

    Raises:
        TrainingError: In ``after_train_iter``, naming the iteration and the loss.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, interval: int = 50, max_skipped: int = 10) -> None:
        self.interval = interval
        self.max_skipped = max_skipped
        self._waiting: list[tuple[int, tuple[int, int] | None, Tensor | None, Tensor]] = []
        self._losses: deque[float] = deque(maxlen=4 * BEFORE)
        self._updates = self._skipped = self._in_row = self._jumps = 0

    def before_train(self, runner) -> None:
        norms = [m for m in unwrap_model(runner.model).modules() if isinstance(m, _NormBase)]
        statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        self._statistics = [value for value in statistics if value is not None]
        scalars = runner.message_hub.log_scalars  # of the run that this one goes on with
        if 'train/skipped_updates' in scalars:
            self._skipped = int(scalars['train/skipped_updates'].current())
        if 'train/loss_jumps' in scalars:
            self._jumps = int(scalars['train/loss_jumps'].current())
        if 'train/loss' in scalars:
            self._losses.extend(
                loss for loss in scalars['train/loss'].data[0][-4 * BEFORE :].tolist() if isfinite(loss)
            )

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        if self._statistics:
            self._before = torch.cat([value.reshape(-1) for value in self._statistics])

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        self._repair_statistics()
        loss = (outputs or {}).get('loss')
        if loss is None:
            return
        loss = torch.as_tensor(loss).detach().reshape(())
        take = getattr(runner.optim_wrapper, 'take_skipped', None)
        bad = loss.isfinite().logical_not() if take is None else take()
        loop = runner.train_loop
        place = loop.last_place if isinstance(loop, TrainLoop) else None
        self._waiting.append((runner.iter + 1, place, bad, loss))
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._check_steps(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        self._check_steps(runner)

    @torch.no_grad()
    def _repair_statistics(self) -> None:
        if self._statistics:
            after = torch.cat([value.reshape(-1) for value in self._statistics])
            kept = torch.where(after.isfinite(), after, self._before)
            parts = kept.split([value.numel() for value in self._statistics])
            torch._foreach_copy_(
                self._statistics, [part.view_as(value) for part, value in zip(parts, self._statistics)]
            )

    def _check_steps(self, runner) -> None:
        """Read what the device has noted, in one transfer."""
        if not self._waiting:
            return
        steps, self._waiting = self._waiting, []
        nothing = torch.zeros_like(steps[0][3])
        noted = torch.stack([(nothing if bad is None else bad.to(loss)) for _, _, bad, loss in steps])
        flags, losses = torch.stack([noted, torch.stack([loss for *_, loss in steps])]).tolist()
        skipped = []
        for (iteration, place, bad, _), flag, loss in zip(steps, flags, losses):
            self._report_jump(runner, iteration, place, loss)
            if bad is None:
                continue
            self._updates += 1
            self._in_row = self._in_row + 1 if flag else 0
            if flag:
                skipped.append((iteration, place, loss))
                if self._in_row >= self.max_skipped:
                    self._stop(runner, skipped)
        if skipped:
            self._report_skipped(runner, skipped)
            # Whoever skips to the end has not learnt to the end.
            if self._in_row >= min(2, self._updates) and skipped[-1][0] == runner.max_iters:
                self._stop(runner, skipped)

    def _report_skipped(self, runner, skipped: list) -> None:
        self._skipped += len(skipped)
        runner.message_hub.update_scalar('train/skipped_updates', self._skipped)
        iterations = [iteration for iteration, *_ in skipped]
        runner.logger.warning(
            f'loss or gradient was no number in iteration{"s" if skipped[1:] else ""} '
            f'{", ".join(map(str, iterations[:10]))}{" and more" if iterations[10:] else ""}: the update was skipped'
            f'{_samples(runner, skipped[0][1])}'
        )

    def _stop(self, runner, skipped: list) -> None:
        iteration, place, loss = skipped[-1]
        name, value = ('grad_norm', 'infinite') if isfinite(loss) else ('loss', loss)
        raise TrainingError(
            f'{name} is {value} at iteration {iteration}: training stopped; the last {self._in_row} updates were '
            f'skipped, so that the weights are those before{_samples(runner, place)}; '
            'lower the learning rate, and go on from the last checkpoint with --resume'
        )

    def _report_jump(self, runner, iteration: int, place: tuple[int, int] | None, loss: float) -> None:
        """Say where a loss is far above those before."""
        before = self._losses
        if len(before) >= BEFORE:
            mean = fmean(before)
            if isfinite(loss) and loss > max(mean + SPIKE * pstdev(before, mean), mean + abs(mean)):
                self._jumps += 1
                runner.message_hub.update_scalar('train/loss_jumps', self._jumps)
                runner.logger.warning(
                    f'the loss jumps from {mean:.4g}, the mean of {len(before)} iterations, to {loss:.4g} in iteration '
                    f'{iteration}{_samples(runner, place)}'
                )
        if isfinite(loss):
            before.append(loss)


def _samples(runner, place: tuple[int, int] | None) -> str:
    """Samples of this rank in a batch, for a message."""
    if place is None:
        return ''
    samples = runner.train_loop.samples_of(*place)
    return (
        f' (epoch {place[0] + 1}, samples {", ".join(map(str, samples[:32]))} of train_dataloader)' if samples else ''
    )
