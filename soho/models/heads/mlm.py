"""Masked language modelling: predict masked tokens from the other tokens and the image.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy, reduce_mean
from soho.models.heads.positions import gather_positions
from soho.models.precision import no_autocast, upcast
from soho.models.structures import FusedFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


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
        return F.linear(features, self.weight)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Save nothing: the weight is saved by the module that owns it."""

    def _load_from_state_dict(self, *args) -> None:
        """Load nothing: the weight is loaded by the module that owns it."""


@MODELS.register_module()
class MLMHead(Head):
    """Logits by the word embedding of the language model: tied weights, no transform, no bias."""

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('mlm_labels',)

    def connect(self, language: nn.Module | None) -> None:
        embedding = getattr(language, 'word_embeddings', None)
        if not isinstance(embedding, nn.Parameter):
            raise UserError(f'{type(self).__name__} shares the word embedding of a BERT, and the model has none')
        self.output = TiedLinear(embedding)

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor:
        masked = target_positions(batch, 'mlm_labels')
        return masked // length * (length + cells) + masked % length

    def loss(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_mlm`` (mean cross-entropy over masked tokens) and ``acc_mlm`` (percent)."""
        losses, correct = self.per_sample_loss(features, batch)
        return dict(loss_mlm=reduce_mean(losses), acc_mlm=accuracy(correct))

    def predict(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``mlm_losses`` float32 and ``mlm_correct`` bool of the P masked tokens."""
        losses, correct = self.per_sample_loss(features, batch)
        return dict(mlm_losses=losses, mlm_correct=correct)

    def per_sample_loss(self, features: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(P,) cross-entropies and (P,) bool, whether the predicted token is correct."""
        logits, labels = self.logits(features, batch)
        with no_autocast(logits):
            losses = F.cross_entropy(upcast(logits), labels, reduction='none')
        return losses, logits.detach().argmax(1) == labels

    def logits(self, features: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(P, V) logits and (P,) labels of the masked tokens."""
        labels = batch['mlm_labels'].flatten(0, 1)  # (R, L)
        hidden, labels = gather_positions(features.text, labels, target_positions(batch, 'mlm_labels'))
        return self.output(hidden), labels
