"""Visual question answering as classification over frequent answers.

Paper: SOHO, arXiv:2104.03135, section 4.2.1. Official file:
SOHO/models/heads/soho_downstream_vqa_head.py.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soho.errors import UserError
from soho.models.heads.base import Batch, Head, counted_rows, mean_over, no_autocast, reads_first_only
from soho.models.structures import FusedFeatures
from soho.registry import MODELS


@MODELS.register_module()
class VQAHead(Head):
    """A two-layer classifier on [CLS], trained with soft scores.

    Reads ``answer_labels`` (B, S, K) int64, -1 where an item has fewer, and
    ``answer_scores`` (B, S, K) float32.

    Args:
        hidden_size: D.
        num_answers: Size A of the answer list; 3,129 for VQA v2.
        dropout: Between the two layers.
    """

    def __init__(self, hidden_size: int, num_answers: int = 3129, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_answers = num_answers
        self.vqa = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * hidden_size, num_answers),
        )

    def init_weights(self) -> None:
        for module in self.vqa:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Demand that the dataset's answer list is as long as the head is wide."""
        answers = len(metainfo.get('label2ans', ()))
        if answers != self.num_answers:
            raise UserError(
                f'{source} has a list of {answers} answers, but the VQA head has num_answers='
                f'{self.num_answers}: both have to be of the same list'
            )

    def reads(self, batch: Batch, length: int, cells: int) -> Tensor:
        return reads_first_only(batch)

    def forward(self, fused: FusedFeatures) -> Tensor:
        """(R, A) logits."""
        return self.vqa(fused.text[:, 0])

    def targets(self, batch: Batch) -> Tensor:
        """(R, A) float32 soft scores from the sparse labels."""
        labels = batch['answer_labels'].flatten(0, 1)
        scores = batch['answer_scores'].flatten(0, 1)
        dense = scores.new_zeros(len(labels), self.num_answers + 1)
        # Padding (-1) goes to a column of its own, which is cut off.
        dense.scatter_(1, labels.masked_fill(labels < 0, self.num_answers), scores)
        return dense[:, : self.num_answers]

    def loss(self, fused: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_vqa`` (cross-entropy summed over answers, mean over questions) and ``score`` in [0, 1]."""
        logits, targets = self(fused), self.targets(batch)
        counted = counted_rows(batch).float()
        with no_autocast(logits):
            each = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction='none').sum(1)
        score = targets.gather(1, logits.detach().argmax(1, keepdim=True)).squeeze(1)
        return dict(
            loss_vqa=mean_over(each * counted, counted.sum()),
            score=(score * counted).sum() / counted.sum().clamp(min=1),
        )

    def predict(self, fused: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``question_id``, ``label`` int64, ``confidence`` float32 in [0, 1], each (R',); ``logits`` (R', A)."""
        counted = counted_rows(batch)
        logits = self(fused)[counted].float()
        confidence, label = torch.sigmoid(logits).max(dim=1)
        ids = batch['question_id'].flatten()[counted]
        return dict(question_id=ids, label=label, confidence=confidence, logits=logits)
