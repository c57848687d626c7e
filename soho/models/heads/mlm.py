"""Masked language modelling: guess hidden words from the rest and the image.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""
from typing import Dict

import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, float32, labelled, mean_over, percent
from soho.models.structures import Fused
from soho.registry import MODELS


@MODELS.register_module()
class MLMHead(Head):
    """Scores by the word embedding itself: no weights of its own, no transform, no bias.

    Reads ``mlm_labels`` (B, S, L), -100 where nothing is asked.
    """

    def loss(self, fused: Fused, batch: Batch) -> Dict[str, Tensor]:
        """``loss_mlm`` (mean cross-entropy over hidden words) and ``acc_mlm`` (percent)."""
        logits, labels = self.scores(fused, batch)
        with float32(logits):
            loss = mean_over(F.cross_entropy(logits.float(), labels, reduction='none'))
        return dict(loss_mlm=loss, acc_mlm=percent(logits.detach().argmax(1) == labels))

    def scores(self, fused: Fused, batch: Batch) -> tuple:
        """(M, V) logits and (M,) labels of the hidden words."""
        labels = batch['mlm_labels'].flatten(0, 1)  # (R, L)
        features, labels = labelled(fused.text, labels)
        return F.linear(features, fused.word_embeddings), labels
