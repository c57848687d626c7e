"""Image-text matching: does the sentence belong to the image?

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""
from typing import Dict

import torch.nn.functional as F
from torch import Tensor, nn

from soho.models.heads.base import Batch, Head, float32, percent
from soho.models.structures import Fused
from soho.registry import MODELS


@MODELS.register_module()
class ITMHead(Head):
    """A linear two-way classifier on [CLS].

    Reads ``itm_labels`` (B, S): 1 = matched, 0 = replaced.

    Args:
        hidden_size: D.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.match_class = nn.Linear(hidden_size, 2, bias=False)

    def init_weights(self) -> None:
        nn.init.kaiming_normal_(self.match_class.weight)

    def forward(self, fused: Fused) -> Tensor:
        """(R, 2) logits."""
        return self.match_class(fused.text[:, 0])

    def loss(self, fused: Fused, batch: Batch) -> Dict[str, Tensor]:
        """``loss_itm`` (mean cross-entropy) and ``acc_itm`` (percent)."""
        logits = self(fused)
        labels = batch['itm_labels'].flatten()
        with float32(logits):
            loss = F.cross_entropy(logits.float(), labels)
        return dict(loss_itm=loss, acc_itm=percent(logits.detach().argmax(1) == labels))
