"""Reduction of the losses of a batch, and the accuracy that is logged beside them."""

from mmengine.dist import all_reduce
from torch import Tensor


def reduce_mean(loss: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of (P,) losses; zero, still with a gradient, where P is 0.

    With several ranks the divisor is the mean count of the ranks. Gradients are
    averaged over ranks, so that they equal those of the mean over the whole
    batch, however its losses are spread over the ranks.

    Args:
        loss: (P,) float32.
        count: Scalar float, the number of losses that count; P by default.
    """
    count = loss.new_full((), len(loss)) if count is None else count
    all_reduce(count, 'mean')
    return loss.sum() / count.clamp(min=1e-6)


def accuracy(correct: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of true entries in percent, among all or among those ``counted`` (bool); 0 where there are none."""
    if counted is None:
        return correct.float().sum() * (100.0 / max(len(correct), 1))
    return (correct & counted).sum() * 100.0 / counted.sum().clamp(min=1)
