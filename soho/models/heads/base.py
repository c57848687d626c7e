"""Base class of the heads, and how a model runs all its heads."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

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


def connect_heads(heads: Mapping[str, Head], language: nn.Module | None) -> None:
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
