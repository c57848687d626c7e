"""Which positions of the fused features heads read, see :meth:`soho.models.heads.base.Head.output_positions`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from soho.datasets.batch import Batch


def merge_positions(positions: Sequence[Tensor | None]) -> Tensor | None:
    """Positions that any of several heads reads, (P,) int64; ``None`` where one reads all."""
    parts = [part for part in positions if part is not None]
    return torch.cat(parts) if parts and len(parts) == len(positions) else None


def cls_positions(input_ids: Tensor) -> Tensor:
    """(0,) int64, the output positions where [CLS] alone is read: it is computed in any case."""
    return input_ids.new_empty(0)


def get_sentence_mask(batch: Batch) -> Tensor:
    """(B * S,) bool, false where a group of fewer than S sentences is padded."""
    return batch['sentence_mask'].flatten()


def gather_positions(features: Tensor, labels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Features and labels at the labelled positions.

    Logits over a vocabulary are large and about one position in ten has a
    label, so they are computed for those positions only.

    Args:
        features: (R, L, D).
        labels: (R, L) int64.
        positions: (P,) int64, counted over all rows, see :func:`soho.models.target_positions.target_positions`.

    Returns:
        (P, D) features and (P,) labels.
    """
    return features.flatten(0, 1)[positions], labels.flatten()[positions]
