"""Masked visual modelling: guess the dictionary word of hidden cells.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, float32, mean_over, percent
from soho.models.structures import Fused
from soho.models.target_positions import asked
from soho.registry import MODELS


@MODELS.register_module()
class MVMHead(Head):
    """Cosine similarity to the dictionary's words.

    The dictionary learns by its moving average alone and gets no gradient
    here. Reads ``Fused.visual_labels`` (R, N), which the neck makes when it
    masks, in the sentences for which it masks (``mask_rows`` (B, S) bool).

    Args:
        temperature: Divides the cosines; 1 as published.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def reads(self, batch: Batch, length: int, cells: int) -> Tensor:
        first = asked(batch, 'mask_rows') * (length + cells) + length
        return (first[:, None] + torch.arange(cells, device=first.device)).flatten()

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``loss_mvm`` (mean cross-entropy over hidden cells) and ``acc_mvm`` (percent)."""
        losses, hits, hidden = self.judge(fused, batch)
        return dict(loss_mvm=mean_over(losses, hidden.sum().float()), acc_mvm=percent(hits, hidden))

    def predict(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """``mvm_losses`` float32 and ``mvm_hits`` bool of the M hidden cells."""
        losses, hits, hidden = self.judge(fused, batch)
        return dict(mvm_losses=losses[hidden], mvm_hits=hits[hidden])

    def judge(self, fused: Fused, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(P,) cross-entropies, whether the nearest word is the hidden one, and whether one is hidden."""
        scores, labels = self.scores(fused, batch)
        losses = F.cross_entropy(scores / self.temperature, labels.clamp(min=-1), ignore_index=-1, reduction='none')
        return losses, scores.detach().argmax(1) == labels, labels >= 0

    def scores(self, fused: Fused, batch: Batch) -> tuple[Tensor, Tensor]:
        """(P, K) float32 cosines and (P,) words, -100 where none is hidden.

        Of all cells of the sentences for which words are hidden: how many of
        their cells carry one, only the device knows.
        """
        features, labels = fused.visual, fused.visual_labels
        if 'mask_rows' in batch:
            rows = asked(batch, 'mask_rows')
            features, labels = features[rows], labels[rows]
        features = features.flatten(0, 1)
        with float32(features):
            scores = F.linear(F.normalize(features.float(), dim=-1), F.normalize(fused.dictionary, dim=-1))
        return scores, labels.flatten()
