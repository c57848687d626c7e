"""What every head has in common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.models.structures import CaptionFeatures, FusedFeatures

Features = FusedFeatures | CaptionFeatures


class Head(BaseModule):
    """One objective: features and a batch to losses, or to predictions.

    A new task is a subclass in a file of its own.
    """

    name: str = ''
    """The head's name in the model, which sets it."""
    num_images: int = 1
    """M, images of a sample that the head reads together."""

    def required_fields(self, mode: str) -> tuple[str, ...]:
        """Fields of the batch that the head reads, beyond the model's own inputs.

        Args:
            mode: ``'loss'`` or ``'predict'``.

        Returns:
            Names of :data:`soho.datasets.batch.FIELDS`, or of the task's own. A run whose data lack one
            is refused before its first step.
        """
        return ()

    def connect(self, language: nn.Module | None) -> None:
        """Take from the language model what the head shares with it; the model calls this once, when all are built."""

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor | None:
        """Positions of SOHO's fused features that the head reads, so that the last layer computes no others.

        Args:
            batch: The preprocessed batch.
            length: L, text positions of a row.
            cells: N, visual positions of a row.

        Returns:
            (P,) int64, positions beside [CLS], counted over all R rows of L + N; ``None`` for all.
        """
        return None

    def text_positions(self, batch: Batch, mode: str) -> dict[str, Tensor]:
        """Positions of VirTex's caption transformer whose logits the head reads, by field of tokens.

        Args:
            batch: The preprocessed batch.
            mode: ``'loss'`` or ``'predict'``.

        Returns:
            (P,) int64 each, counted over all R captions of L tokens.
        """
        return {}

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Refuse a data set that is not for this head, before its first batch.

        Args:
            metainfo: The data set's ``metainfo``.
            source: Which data set, for messages.

        Raises:
            UserError: The data set is not for this head.
        """

    def loss(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Named scalars; every name that contains ``loss`` is minimised, the others are logged."""
        raise NotImplementedError

    def predict(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """One dict of tensors for the metric, rows without a sentence left out."""
        raise NotImplementedError


def name_heads(heads: Mapping[str, Head], language: nn.Module | None) -> None:
    """Tell each head its name and the language model, once all are built."""
    for name, head in heads.items():
        head.name = name
        head.connect(language)


def run_heads(
    heads: Mapping[str, Head], mode: str, features: Features, batch: Batch
) -> dict[str, Tensor] | list[dict[str, Tensor]]:
    """Losses or predictions of all heads.

    Names that several heads use carry the head's: ``vqa.label`` and ``entailment.label``; a metric
    picks one head's by its argument ``head``.

    Args:
        heads: By name.
        mode: ``'loss'`` or ``'predict'``.
        features: What the model computed.
        batch: The preprocessed batch.

    Returns:
        For ``'loss'`` one dict; for ``'predict'`` one dict in a list, as mmengine's loops take it.
    """
    outputs = {name: getattr(head, mode)(features, batch) for name, head in heads.items()}
    uses = Counter(key for output in outputs.values() for key in output)
    merged = {
        key if uses[key] == 1 else f'{name}.{key}': value
        for name, output in outputs.items()
        for key, value in output.items()
    }
    return merged if mode == 'loss' else [merged]


def union_of_positions(positions: Sequence[Tensor | None]) -> Tensor | None:
    """All that several heads read, see :meth:`Head.output_positions`; ``None`` (all) where one reads all."""
    if not positions or any(part is None for part in positions):
        return None
    return torch.cat(list(positions))


def cls_only(batch: Batch) -> Tensor:
    """The answer of :meth:`Head.output_positions` of a head that reads [CLS] alone."""
    return batch['input_ids'].new_empty(0)


def counted_rows(batch: Batch) -> Tensor:
    """(B * S,) bool: which rows hold a sentence of their own (groups may be ragged)."""
    return batch['sentence_mask'].flatten()


def gather_positions(features: Tensor, labels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Features and labels at the few positions that carry a label.

    Scores over a vocabulary are wide and about one position in ten has a
    label, so they are computed for those positions only.

    Args:
        features: (R, P, D).
        labels: (R, P) int64.
        positions: (M,) int64, counted over all rows, see :func:`soho.models.target_positions.target_positions`.

    Returns:
        (M, D) features and (M,) labels.
    """
    return features.flatten(0, 1)[positions], labels.flatten()[positions]


class TiedLinear(nn.Module):
    """A linear layer without bias whose weight belongs to another module, under whose name it is saved.

    Args:
        weight: (out_features, in_features), another module's parameter.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, features: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return nn.functional.linear(features, self.weight)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Save nothing: the owner does."""

    def _load_from_state_dict(self, *args) -> None:
        """Load nothing: the owner does."""


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
