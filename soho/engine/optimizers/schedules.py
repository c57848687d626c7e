"""Learning rates by iteration, as VirTex publishes them."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin

from soho.errors import UserError
from soho.registry import PARAM_SCHEDULERS

DECAYS = ('none', 'linear', 'cosine', 'multistep')


@PARAM_SCHEDULERS.register_module()
class WarmupDecayLR(LRSchedulerMixin, _ParamScheduler):
    """A linear warm-up from zero, then a decay to zero or by steps; counted in iterations.

    The first iteration has rate 0, and iteration ``warmup`` + 1 is the first
    with the full rate. mmengine's LinearLR cannot start at zero. As in the
    official code (virtex/optim/lr_scheduler.py) the cosine would rise again
    behind ``total``.

    Args:
        optimizer: Optimizer or wrapper.
        total: Iterations of the training.
        warmup: Iterations of the warm-up.
        decay: ``'cosine'``, ``'linear'``, ``'multistep'`` or ``'none'``.
        milestones: Of ``'multistep'``: iterations after which the rate is multiplied.
        gamma: By which.
        **kwargs: See mmengine's schedulers.

    Raises:
        UserError: A warm-up as long as the training, or milestones that are
            missing, not rising, or outside of what follows the warm-up.
    """

    def __init__(
        self,
        optimizer,
        total: int,
        warmup: int = 0,
        decay: str = 'cosine',
        milestones: Sequence[int] = (),
        gamma: float = 0.1,
        **kwargs,
    ) -> None:
        if decay not in DECAYS:
            raise UserError(f'decay is {decay!r}; it is one of {", ".join(DECAYS)}')
        if not warmup < total:
            raise UserError(f'the warm-up of {warmup} iterations must end before the training of {total}')
        if decay == 'multistep' and not milestones:
            raise UserError('decay is multistep and needs milestones')
        marks = [warmup, *milestones, total]
        if any(a >= b for a, b in zip(marks, marks[1:])):
            raise UserError(
                f'milestones {list(milestones)} must rise between the end of the warm-up, {warmup}, and '
                f'that of the training, {total}'
            )
        self.total, self.warmup, self.decay = total, warmup, decay
        self.milestones, self.gamma = list(milestones), gamma
        super().__init__(optimizer, by_epoch=False, **kwargs)

    def multiplier(self, step: int) -> float:
        """Of the base rate, after ``step`` iterations."""
        if step < self.warmup:
            return step / self.warmup
        passed = (step - self.warmup) / (self.total - self.warmup)
        if self.decay == 'cosine':
            return math.cos(passed * (math.pi / 2)) ** 2
        if self.decay == 'linear':
            return max(0.0, (self.total - step) / (self.total - self.warmup))
        return self.gamma ** bisect_right(self.milestones, step)

    def _get_value(self) -> list[float]:
        return [base * self.multiplier(self.last_step) for base in self.base_values]
