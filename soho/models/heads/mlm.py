"""Masked language modelling: guess hidden words from the rest and the image.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, float32, labelled, mean_over, percent, wide
from soho.models.structures import Fused
from soho.models.target_positions import asked
from soho.registry import MODELS


@MODELS.register_module()
class MLMHead(Head):
    """Scores by the word embedding itself: no weights of its own, no transform, no bias.

    Reads ``mlm_labels`` (B, S, L), -100 where nothing is asked.
    """

    def reads(self, batch: Batch, length: int, cells: int) -> Tensor:
        hidden = asked(batch, 'mlm_labels')
        return hidden // length * (length + cells) + hidden % length

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``loss_mlm`` (mean cross-entropy over hidden words) and ``acc_mlm`` (percent)."""
        losses, hits = self.judge(fused, batch)
        return dict(loss_mlm=mean_over(losses), acc_mlm=percent(hits))

    def predict(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``mlm_losses`` float32 and ``mlm_hits`` bool of the M hidden words."""
        losses, hits = self.judge(fused, batch)
        return dict(mlm_losses=losses, mlm_hits=hits)

    def judge(self, fused: Fused, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M,) cross-entropies and (M,) whether the best word is the hidden one."""
        logits, labels = self.scores(fused, batch)
        with float32(logits):
            losses = F.cross_entropy(wide(logits), labels, reduction='none')
        return losses, logits.detach().argmax(1) == labels

    def scores(self, fused: Fused, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M, V) logits and (M,) labels of the hidden words."""
        labels = batch['mlm_labels'].flatten(0, 1)  # (R, L)
        features, labels = labelled(fused.text, labels, asked(batch, 'mlm_labels'))
        return F.linear(features, fused.word_embeddings), labels
