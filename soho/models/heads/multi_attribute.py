"""Image classification with one or several kinds of labels."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from soho.errors import UserError
from soho.models.heads.base import Batch, Head, float32, mean_over, percent, wide
from soho.models.structures import Seen
from soho.registry import MODELS


@MODELS.register_module()
class LabelHead(Head):
    """A linear classifier a kind of label, on the mean of the feature map.

    Reads ``labels`` (B, G) int64, -1 where a kind is not known.

    Args:
        in_channels: C.
        kinds: How many labels there are, by kind; ``dict(category=1000)``.
        init_cfg: mmengine's initialisation.
    """

    def __init__(self, in_channels: int, kinds: dict[str, int], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.kinds = dict(kinds)
        self.fc = nn.Linear(in_channels, sum(self.kinds.values()))

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Demand that the dataset has the same kinds of labels, and as many of each."""
        found = {kind: len(names) for kind, names in metainfo.get('label_names', {}).items()}
        if list(found.items()) != list(self.kinds.items()):
            raise UserError(
                f'{source} has labels of the kinds {found}, but the head was made for {self.kinds}: '
                'both have to be the same'
            )

    def forward(self, seen: Seen) -> tuple[Tensor, ...]:
        """(B, K) logits, one tensor a kind."""
        return self.fc(seen.feature.mean((2, 3))).split(list(self.kinds.values()), dim=1)

    def loss(self, seen: Seen, batch: Batch) -> dict[str, Tensor]:
        """``loss_<kind>`` (mean cross-entropy over known labels) and ``acc_<kind>`` (percent)."""
        outputs = {}
        for kind, logits, labels in zip(self.kinds, self(seen), batch['labels'].unbind(1)):
            known = labels >= 0
            with float32(logits):
                losses = F.cross_entropy(wide(logits), labels, ignore_index=-1, reduction='none')
            outputs[f'loss_{kind}'] = mean_over(losses, known.sum().float())
            outputs[f'acc_{kind}'] = percent((logits.detach().argmax(1) == labels)[known])
        return outputs

    def predict(self, seen: Seen, batch: Batch) -> dict[str, Tensor]:
        """``<kind>`` (B,) int64, the best label of each kind, and ``<kind>_scores`` (B, K), the logits of all."""
        outputs = {}
        for kind, logits in zip(self.kinds, self(seen)):
            outputs |= {kind: logits.argmax(1), f'{kind}_scores': logits}
        return outputs
