"""Image classification: one label, or one for each of several attributes (shape, colour, ...)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy, reduce_mean
from soho.models.precision import no_autocast, upcast
from soho.models.structures import CaptionFeatures
from soho.registry import MODELS


@MODELS.register_module()
class MultiAttributeHead(Head):
    """A linear classifier for each attribute, on the mean of the feature map.

    Unknown labels (-1) are ignored.

    Args:
        in_channels: C.
        attributes: Number of labels of each attribute; ``dict(category=1000)`` for ImageNet.
        init_cfg: mmengine's initialisation.
    """

    def __init__(self, in_channels: int, attributes: dict[str, int], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.attributes = dict(attributes)
        self.fc = nn.Linear(in_channels, sum(self.attributes.values()))

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Check that the data set has the same attributes, with as many labels each."""
        attributes = {attribute: len(names) for attribute, names in metainfo.get('label_names', {}).items()}
        if list(attributes.items()) != list(self.attributes.items()):
            raise UserError(
                f'{source} has the attributes {attributes}, but the head has {self.attributes}: both must be the same'
            )

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('attribute_labels',)

    def forward(self, features: CaptionFeatures) -> tuple[Tensor, ...]:
        """(B, K) logits of each attribute."""
        return self.fc(features.feature.mean((2, 3))).split(list(self.attributes.values()), dim=1)

    def loss(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_<attribute>`` (mean cross-entropy over known labels) and ``acc_<attribute>`` (percent)."""
        outputs = {}
        for attribute, logits, labels in zip(self.attributes, self(features), batch['attribute_labels'].unbind(1)):
            known = labels >= 0
            with no_autocast(logits):
                losses = F.cross_entropy(upcast(logits), labels, ignore_index=-1, reduction='none')
            outputs[f'loss_{attribute}'] = reduce_mean(losses, known.sum().float())
            outputs[f'acc_{attribute}'] = accuracy(logits.detach().argmax(1) == labels, known)
        return outputs

    def predict(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``<attribute>`` (B,) int64, the predicted labels, and ``<attribute>_scores`` (B, K), their logits."""
        outputs = {}
        for attribute, logits in zip(self.attributes, self(features)):
            outputs |= {attribute: logits.argmax(1), f'{attribute}_scores': logits}
        return outputs
