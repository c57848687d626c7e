"""Multi-label classification: the tokens of a caption, or the objects of an image.

Paper: VirTex, arXiv:2006.06666, section 4.2. Official file:
virtex/models/classification.py.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.models.heads.base import Head
from soho.models.heads.losses import reduce_mean
from soho.models.precision import no_autocast, upcast
from soho.models.structures import CaptionFeatures
from soho.registry import MODELS


@MODELS.register_module()
class MultiLabelHead(Head):
    """A linear classifier on the mean of the feature map; the target distribution is uniform over the labels.

    Labels may be in any order and repeat.

    Args:
        in_channels: C.
        num_classes: A.
        ignore: Labels that do not count: padding (0), and for tokens of
            captions the special ones too.
        top_k: Number of labels predicted.
    """

    def __init__(self, in_channels: int, num_classes: int, ignore: Sequence[int] = (0,), top_k: int = 10) -> None:
        super().__init__()
        self.output = nn.Linear(in_channels, num_classes)
        self.ignore = list(ignore)
        self.top_k = top_k

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('label_set',) if mode == 'loss' else ('image_id',)

    def forward(self, features: CaptionFeatures) -> Tensor:
        """(B, A) logits."""
        return self.output(features.feature.mean((2, 3)))

    def targets(self, labels: Tensor) -> Tensor:
        """(B, K) labels to (B, A) bool, true at the classes of the image."""
        present = torch.zeros(len(labels), self.output.out_features, dtype=torch.bool, device=labels.device)
        present.scatter_(1, labels, True)
        for label in self.ignore:  # a list as an index is copied to the device, and the host waits
            present[:, label] = False
        return present

    def loss(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_classification``: cross-entropy, mean over the images that have a label."""
        each, labeled = self.per_sample_loss(self(features), self.targets(batch['label_set']))
        return dict(loss_classification=reduce_mean(each, labeled.sum().to(each.dtype)))

    def predict(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``image_id`` (B,); ``labels`` (B, k) int64 and ``probabilities`` (B, k) float32, in descending order.

        Where the batch has ``label_set``, also ``classification_losses`` float32 and ``classification_correct``
        bool (the most probable label is correct) of the B' images that have a label.
        """
        logits = self(features)
        probabilities, labels = upcast(logits).softmax(1).topk(self.top_k)
        outputs = dict(image_id=batch['image_id'], labels=labels, probabilities=probabilities)
        if 'label_set' in batch:
            present = self.targets(batch['label_set'])
            losses, labeled = self.per_sample_loss(logits, present)
            correct = present.gather(1, labels[:, :1]).squeeze(1)
            outputs.update(classification_losses=losses[labeled], classification_correct=correct[labeled])
        return outputs

    def per_sample_loss(self, logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) cross-entropies, 0 for an image without a label, and (B,) bool, whether the image has one."""
        count = present.sum(1)  # (B,)
        with no_autocast(logits):
            each = -(upcast(logits).log_softmax(1) * present).sum(1) / count.clamp(min=1)
        return each, count > 0
