"""What becomes of a run whose loss is no longer a number."""

from collections import deque
from collections.abc import Sequence
from math import isfinite
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from soho.engine.distributed import unwrap_model
from soho.engine.loops import TrainLoop
from soho.engine.optimizers.optim_wrapper import OptimWrapper
from soho.errors import TrainingError
from soho.registry import HOOKS

SPIKE = 6.0  # standard deviations above the mean of the losses before
BEFORE = 50  # losses at least that tell what is usual
NAMED = 8  # batches of one message


class _Part(NamedTuple):
    """What an iteration of this rank gives to an update."""

    iteration: int
    place: tuple[int, int] | None  # epoch and number of the batch
    loss: float


class _Update(NamedTuple):
    parts: list[_Part]
    is_whole: bool  # and not begun by an earlier run

    @property
    def iteration(self) -> int:
        """The last one, after which it would have been."""
        return self.parts[-1].iteration


class _Batch(NamedTuple):
    """A batch to which it may be due that an update was skipped."""

    update: int  # which of those that were
    iteration: int
    rank: int
    place: tuple[int, int] | None
    loss: float
    samples: Sequence[int] = ()


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Says which updates were skipped since loss or gradients were no numbers, and ends a run that skips too many.

    The device decides about an update (:class:`soho.engine.optimizers.optim_wrapper.OptimWrapper`), and the host
    looks at many at once. What a step would make of the running statistics of batch-norms that is no number does not
    stay either. A loss far above those before is said too. The log counts both, once there was one, as
    ``skipped_updates`` and ``loss_jumps``.

    Of an update that several iterations and ranks give gradients to, those samples are named whose loss was no number;
    or all, where only the gradients were none.

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
        self._parts: list[_Part] = []  # of the next update
        self._began_within = False  # the next update is one that an earlier run has begun
        self._agreed = True  # on which updates are skipped, ranks are

    def before_train(self, runner) -> None:
        norms = [m for m in unwrap_model(runner.model).modules() if isinstance(m, _NormBase)]
        statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        self._statistics = [value for value in statistics if value is not None]
        wrapper = runner.optim_wrapper
        self._agreed = isinstance(wrapper, OptimWrapper)
        self._began_within = isinstance(wrapper, OptimWrapper) and wrapper.accumulated_gradients() is not None
        self._in_row = self._updates = runner.message_hub.runtime_info.get('skipped_in_row', 0)
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

    def before_gather_state(self, runner) -> None:
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
            self._parts.append(_Part(iteration, place, loss))
            if bad is None:
                continue
            update = _Update(self._parts, not self._began_within)
            self._parts, self._began_within = [], False
            self._updates += 1
            self._in_row = self._in_row + 1 if flag else 0
            if flag:
                skipped.append(update)
                if self._in_row >= self.max_skipped:
                    break
        runner.message_hub.update_info('skipped_in_row', self._in_row)
        if skipped:
            batches = self._find_batches(runner, skipped)
            self._report_skipped(runner, skipped, batches)
            # Whoever skips to the end has not learnt to the end.
            at_end = self._in_row >= min(2, self._updates) and skipped[-1].iteration == runner.max_iters
            if at_end or self._in_row >= self.max_skipped:
                self._stop(runner, skipped[-1], [batch for batch in batches if batch.update == len(skipped) - 1])

    def _find_batches(self, runner, updates: list[_Update]) -> list[_Batch]:
        """The batches of all ranks to which it is due that updates were skipped; some of each where there are many."""
        losses = [[part.loss for part in update.parts] for update in updates]
        of_ranks = all_gather_object(losses) if self._agreed else [losses]
        batches: list[_Batch] = []
        for number, update in enumerate(updates):
            all_of_it = [
                _Batch(number, part.iteration, rank, part.place, of_rank[number][place])
                for place, part in enumerate(update.parts)
                for rank, of_rank in enumerate(of_ranks)
            ]
            wrong = [batch for batch in all_of_it if not isfinite(batch.loss)]
            # What a run before this one has given to the update is not known here.
            some = wrong or (all_of_it if update.is_whole else [])
            if len(batches) < NAMED or number == len(updates) - 1:
                batches += some[:NAMED]
        own_rank = get_rank() if self._agreed else 0
        samples = [
            runner.train_loop.samples_of(*batch.place) if batch.place and batch.rank == own_rank else []
            for batch in batches
        ]
        of_ranks = all_gather_object(samples) if self._agreed else [samples]
        return [batch._replace(samples=of_ranks[batch.rank][number]) for number, batch in enumerate(batches)]

    def _report_skipped(self, runner, skipped: list[_Update], batches: list[_Batch]) -> None:
        self._skipped += len(skipped)
        runner.message_hub.update_scalar('train/skipped_updates', self._skipped)
        iterations = [update.iteration for update in skipped]
        runner.logger.warning(
            f'loss or gradient was no number in iteration{"s" if skipped[1:] else ""} '
            f'{", ".join(map(str, iterations[:10]))}{" and more" if iterations[10:] else ""}: the update was skipped'
            f'{_describe(batches, iterations, runner.world_size)}'
        )

    def _stop(self, runner, update: _Update, batches: list[_Batch]) -> None:
        loss = next((batch.loss for batch in batches if not isfinite(batch.loss)), update.parts[-1].loss)
        name, value = ('grad_norm', 'infinite') if isfinite(loss) else ('loss', loss)
        raise TrainingError(
            f'{name} is {value} at iteration {update.iteration}: training stopped; the last {self._in_row} updates '
            'were skipped, so that the weights are those before'
            f'{_describe(batches, [update.iteration], runner.world_size)}; '
            'lower the learning rate, and go on from the last checkpoint with --resume'
        )

    def _report_jump(self, runner, iteration: int, place: tuple[int, int] | None, loss: float) -> None:
        """Say where a loss is far above those before."""
        before = self._losses
        if len(before) >= BEFORE:
            mean = fmean(before)
            if isfinite(loss) and loss > max(mean + SPIKE * pstdev(before, mean), mean + abs(mean)):
                self._jumps += 1
                samples = [] if place is None else runner.train_loop.samples_of(*place)
                batch = _Batch(0, iteration, runner.rank, place, loss, samples)
                runner.message_hub.update_scalar('train/loss_jumps', self._jumps)
                runner.logger.warning(
                    f'the loss jumps from {mean:.4g}, the mean of {len(before)} iterations, to {loss:.4g} in iteration '
                    f'{iteration}{_describe([batch], [iteration], runner.world_size)}'
                )
        if isfinite(loss):
            before.append(loss)


def _describe(batches: Sequence[_Batch], iterations: list[int], ranks: int) -> str:
    """Samples of batches, for a message that names iterations."""
    named = [batch for batch in batches if batch.samples]
    several = [batch.iteration for batch in named] != iterations or len(named) > 1
    said = []
    for batch in named:
        parts = [f'iteration {batch.iteration}'] if several else []
        parts += [f'rank {batch.rank}'] if ranks > 1 else []
        epoch = [f'epoch {batch.place[0] + 1}'] if batch.place else []
        said.append(', '.join([*parts, *epoch, f'samples {", ".join(map(str, batch.samples[:32]))}']))
    return f' ({"; ".join(said)} of train_dataloader)' if said else ''
