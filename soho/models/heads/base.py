"""Base class of the heads, and functions that several heads use."""

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
    """Base class of a head: one objective, from features and a batch to losses or predictions.

    A new task is a subclass in a file of its own.
    """

    name: str = ''
    """Name of the head in the model; set by the model."""
    num_images: int = 1
    """M, images of a sample that the head reads together."""

    def required_fields(self, mode: str) -> tuple[str, ...]:
        """Batch fields that the head reads, besides the inputs of the model.

        Args:
            mode: ``'loss'`` or ``'predict'``.

        Returns:
            Names from :data:`soho.datasets.batch.FIELDS`, or of fields that the task adds. A run whose
            data lack one is refused before its first step.
        """
        return ()

    def connect(self, language: nn.Module | None) -> None:
        """Share modules or weights with the language model; called once, when all parts of the model are built."""

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor | None:
        """Positions of SOHO's fused features that the head reads, so that the last layer computes no others.

        Args:
            batch: The preprocessed batch.
            length: L, text positions of a row.
            cells: N, visual positions of a row.

        Returns:
            (P,) int64, positions besides [CLS], counted over all R rows of L + N; ``None`` for all.
        """
        return None

    def text_positions(self, batch: Batch, mode: str) -> dict[str, Tensor]:
        """Positions of VirTex's caption transformer whose logits the head reads, by token field.

        Args:
            batch: The preprocessed batch.
            mode: ``'loss'`` or ``'predict'``.

        Returns:
            (P,) int64 each, counted over all R captions of L tokens.
        """
        return {}

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Check before the first batch that a data set fits this head.

        Args:
            metainfo: The data set's ``metainfo``.
            source: Name of the data set, for error messages.

        Raises:
            UserError: The data set does not fit.
        """

    def loss(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name; those whose name contains ``loss`` are minimised, the others are logged."""
        raise NotImplementedError

    def predict(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Tensors by name for the metrics, without the rows that hold no sentence."""
        raise NotImplementedError


def name_heads(heads: Mapping[str, Head], language: nn.Module | None) -> None:
    """Set the name of each head and connect it to the language model, once all are built."""
    for name, head in heads.items():
        head.name = name
        head.connect(language)


def run_heads(
    heads: Mapping[str, Head], mode: str, features: Features, batch: Batch
) -> dict[str, Tensor] | list[dict[str, Tensor]]:
    """Losses or predictions of all heads.

    A name that several heads use is prefixed with the head's: ``vqa.label`` and ``entailment.label``;
    a metric picks one head's by its argument ``head``.

    Args:
        heads: By name.
        mode: ``'loss'`` or ``'predict'``.
        features: Output of the model.
        batch: The preprocessed batch.

    Returns:
        One dict for ``'loss'``; one dict in a list for ``'predict'``, the form that mmengine's loops expect.
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
    """Positions that any of several heads reads, see :meth:`Head.output_positions`; ``None`` where one reads all."""
    parts = [part for part in positions if part is not None]
    return torch.cat(parts) if parts and len(parts) == len(positions) else None


def cls_only(batch: Batch) -> Tensor:
    """Output positions of a head that reads [CLS] alone, see :meth:`Head.output_positions`."""
    return batch['input_ids'].new_empty(0)


def counted_rows(batch: Batch) -> Tensor:
    """(B * S,) bool, false at rows that pad a group with fewer than S sentences."""
    return batch['sentence_mask'].flatten()


def gather_positions(features: Tensor, labels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Features and labels at the labelled positions.

    Logits over a vocabulary are large and about one position in ten has a
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
    """A linear layer without bias whose weight is another module's parameter and is saved with that module.

    Args:
        weight: (out_features, in_features), parameter of another module.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, features: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return nn.functional.linear(features, self.weight)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Save nothing: the weight is saved by the module that owns it."""

    def _load_from_state_dict(self, *args) -> None:
        """Load nothing: the weight is loaded by the module that owns it."""


def mean_over(loss: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of (M,) losses; zero, still with a gradient, where M is 0.

    With several ranks the divisor is the mean count of the ranks. Gradients are
    averaged over ranks, so that they equal those of the mean over the whole
    batch, however its losses are spread over the ranks.

    Args:
        loss: (M,) float32.
        count: Scalar float, the number of losses that count; M by default.
    """
    count = loss.new_full((), len(loss)) if count is None else count
    all_reduce(count, 'mean')
    return loss.sum() / count.clamp(min=1e-6)


def accuracy(correct: Tensor, counted: Tensor | None = None) -> Tensor:
    """Share of true entries in percent, among all or among those ``counted`` (bool); 0 where there are none."""
    if counted is None:
        return correct.float().sum() * (100.0 / max(len(correct), 1))
    return (correct & counted).sum() * 100.0 / counted.sum().clamp(min=1)


def no_autocast(features: Tensor) -> torch.autocast:
    """Context in which losses are computed in float32 under any autocast type."""
    return torch.autocast(features.device.type, enabled=False)


def upcast(logits: Tensor) -> Tensor:
    """Return ``logits`` in float32 if they are in half precision; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
