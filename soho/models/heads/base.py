"""What every head has in common."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from soho.models.structures import FusedFeatures, VisualFeatures
from soho.models.target_positions import Batch


class Head(BaseModule):
    """One objective: what the model saw and the batch to losses, or to predictions.

    A new task is a subclass in a file of its own.
    """

    def reads(self, batch: Batch, length: int, cells: int) -> Tensor | None:
        """Which fused features the head looks at, so that the last layer need not compute more.

        Args:
            batch: The preprocessed batch.
            length: L, text positions of a row.
            cells: N, visual positions of a row.

        Returns:
            (M,) int64, positions beside [CLS], counted over all R rows of L + N; ``None`` for all.
        """
        return None

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Look at a dataset before its first batch.

        Args:
            metainfo: What the dataset says of itself.
            source: Which dataset, for messages.

        Raises:
            ValueError: The dataset is not for this head.
        """

    def loss(self, fused: FusedFeatures | VisualFeatures, batch: Batch) -> dict[str, Tensor]:
        """Named scalars; every name that contains ``loss`` is minimised, the others are logged."""
        raise NotImplementedError

    def predict(self, fused: FusedFeatures | VisualFeatures, batch: Batch) -> dict[str, Tensor]:
        """One dict of tensors for the metric, rows without a sentence left out."""
        raise NotImplementedError


def ask(
    heads: Mapping[str, Head], mode: str, fused: FusedFeatures | VisualFeatures, batch: Batch
) -> dict[str, Tensor] | list[dict[str, Tensor]]:
    """All heads' losses for ``'loss'``; for ``'predict'`` all predictions, in a list, as mmengine's loops want."""
    outputs: dict[str, Tensor] = {}
    for head in heads.values():
        outputs.update(getattr(head, mode)(fused, batch))
    return outputs if mode == 'loss' else [outputs]


def counted_rows(batch: Batch) -> Tensor:
    """(R,) bool: which rows hold a sentence of their own (groups may be ragged)."""
    return batch['sentence_mask'].flatten()


def reads_first_only(batch: Batch) -> Tensor:
    """What :meth:`Head.reads` says where [CLS] is all."""
    return batch['input_ids'].new_empty(0)


def gather_positions(features: Tensor, labels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The few positions that carry a label.

    Scores over a vocabulary are wide and about one position in ten has a
    label, so they are computed for those positions only.

    Args:
        features: (R, P, D).
        labels: (R, P) int64.
        positions: (M,) int64, counted over all rows, see :func:`soho.models.target_positions.asked`.

    Returns:
        (M, D) features and (M,) labels.
    """
    return features.flatten(0, 1)[positions], labels.flatten()[positions]


def mean_over(loss: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of (M,) losses, zero with a gradient where M is 0.

    With several ranks the divisor is their mean count, so that the mean over
    ranks, which the gradients are, is the mean over all losses of the whole
    batch: two processes learn what one with the whole batch learns.

    Args:
        loss: (M,) float32.
        count: Scalar float, how many of ``loss`` are counted; all of them by default.
    """
    count = loss.new_full((), len(loss)) if count is None else count
    all_reduce(count, 'mean')
    return loss.sum() / count.clamp(min=1e-6)


def accuracy(correct: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of true entries in percent, of all or of those ``counted`` (bool); 0 for none."""
    if counted is None:
        return correct.float().sum() * (100.0 / max(len(correct), 1))
    return (correct & counted).sum() * 100.0 / counted.sum().clamp(min=1)


def no_autocast(features: Tensor) -> torch.autocast:
    """Context in which losses are computed in float32 under any autocast type."""
    return torch.autocast(features.device.type, enabled=False)


def upcast(logits: Tensor) -> Tensor:
    """Half precision as float32; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
