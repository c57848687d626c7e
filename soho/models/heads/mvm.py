"""Masked visual modelling: guess the dictionary word of hidden cells.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, float32, labelled, mean_over, percent
from soho.models.structures import Fused
from soho.registry import MODELS


@MODELS.register_module()
class MVMHead(Head):
    """Cosine similarity to the dictionary's words.

    The dictionary learns by its moving average alone and gets no gradient
    here. Reads ``Fused.visual_labels`` (R, N), which the neck makes when it
    masks.

    Args:
        temperature: Divides the cosines; 1 as published.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``loss_mvm`` (mean cross-entropy over hidden cells) and ``acc_mvm`` (percent)."""
        losses, hits = self.judge(fused)
        return dict(loss_mvm=mean_over(losses), acc_mvm=percent(hits))

    def predict(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``mvm_losses`` float32 and ``mvm_hits`` bool of the M hidden cells."""
        losses, hits = self.judge(fused)
        return dict(mvm_losses=losses, mvm_hits=hits)

    def judge(self, fused: Fused) -> tuple[Tensor, Tensor]:
        """(M,) cross-entropies and (M,) whether the nearest word is the hidden one."""
        scores, labels = self.scores(fused)
        losses = F.cross_entropy(scores / self.temperature, labels, reduction='none')
        return losses, scores.detach().argmax(1) == labels

    def scores(self, fused: Fused) -> tuple[Tensor, Tensor]:
        """(M, K) float32 cosines and (M,) words of the hidden cells."""
        features, labels = labelled(fused.visual, fused.visual_labels)
        with float32(features):
            scores = F.linear(F.normalize(features.float(), dim=-1), F.normalize(fused.dictionary, dim=-1))
        return scores, labels
