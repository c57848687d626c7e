"""Masked language modelling: guess hidden words from the rest and the image.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, accuracy, gather_positions, mean_over, no_autocast, upcast
from soho.models.structures import FusedFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class MLMHead(Head):
    """Scores by the word embedding itself: no weights of its own, no transform, no bias.

    Reads ``mlm_labels`` (B, S, L), -100 where nothing is asked.
    """

    def reads(self, batch: Batch, length: int, cells: int) -> Tensor:
        hidden = target_positions(batch, 'mlm_labels')
        return hidden // length * (length + cells) + hidden % length

    def loss(self, fused: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_mlm`` (mean cross-entropy over hidden words) and ``acc_mlm`` (percent)."""
        losses, correct = self.per_sample_loss(fused, batch)
        return dict(loss_mlm=mean_over(losses), acc_mlm=accuracy(correct))

    def predict(self, fused: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``mlm_losses`` float32 and ``mlm_correct`` bool of the M hidden words."""
        losses, correct = self.per_sample_loss(fused, batch)
        return dict(mlm_losses=losses, mlm_correct=correct)

    def per_sample_loss(self, fused: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M,) cross-entropies and (M,) whether the best word is the hidden one."""
        logits, labels = self.scores(fused, batch)
        with no_autocast(logits):
            losses = F.cross_entropy(upcast(logits), labels, reduction='none')
        return losses, logits.detach().argmax(1) == labels

    def scores(self, fused: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M, V) logits and (M,) labels of the hidden words."""
        labels = batch['mlm_labels'].flatten(0, 1)  # (R, L)
        features, labels = gather_positions(fused.text, labels, target_positions(batch, 'mlm_labels'))
        return F.linear(features, fused.word_embeddings), labels
