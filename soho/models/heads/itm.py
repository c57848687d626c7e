"""Image-text matching: predict whether the sentence belongs to the image.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy
from soho.models.heads.positions import cls_positions
from soho.models.precision import no_autocast
from soho.models.structures import FusedFeatures
from soho.registry import MODELS


@MODELS.register_module()
class ITMHead(Head):
    """A linear two-way classifier on [CLS].

    Args:
        hidden_size: D.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.match_class = nn.Linear(hidden_size, 2, bias=False)

    def init_weights(self) -> None:
        nn.init.kaiming_normal_(self.match_class.weight)

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('itm_labels',)

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor:
        return cls_positions(batch['input_ids'])

    def forward(self, features: FusedFeatures) -> Tensor:
        """(R, 2) logits."""
        return self.match_class(features.text[:, 0])

    def loss(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_itm`` (mean cross-entropy) and ``acc_itm`` (percent)."""
        losses, correct = self.per_sample_loss(features, batch)
        return dict(loss_itm=losses.mean(), acc_itm=accuracy(correct))

    def predict(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``itm_losses`` float32 and ``itm_correct`` bool of the R rows."""
        losses, correct = self.per_sample_loss(features, batch)
        return dict(itm_losses=losses, itm_correct=correct)

    def per_sample_loss(self, features: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(R,) cross-entropies and (R,) bool, whether the predicted class is correct."""
        logits = self(features)
        labels = batch['itm_labels'].flatten()
        with no_autocast(logits):
            losses = F.cross_entropy(logits.float(), labels, reduction='none')
        return losses, logits.detach().argmax(1) == labels
