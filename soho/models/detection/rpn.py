"""Region proposal network.

Paper: Faster R-CNN, arXiv:1506.01497; with a pyramid, arXiv:1612.03144.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from soho.models.detection.anchors import Anchors
from soho.models.precision import upcast
from soho.models.structures import Targets
from soho.registry import MODELS


@MODELS.register_module()
class RPN(RegionProposalNetwork):
    """torchvision's region proposal network with detectron2's anchors and losses.

    The losses are binary cross entropy and L1, both averaged over ``samples`` per image.

    Args:
        in_channels: Channels of every feature map.
        sizes, ratios, strides: See :class:`Anchors`.
        candidates: Best anchors per map and image before suppression, in training and in test.
        proposals: Boxes per image after suppression, likewise.
        samples: Anchors sampled per image for training, at most half of them positive.
    """

    def __init__(
        self,
        in_channels: int = 256,
        sizes: Sequence[Sequence[float]] = ((32,), (64,), (128,), (256,), (512,)),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        strides: Sequence[int] = (4, 8, 16, 32, 64),
        candidates: tuple[int, int] = (2000, 1000),
        proposals: tuple[int, int] = (1000, 1000),
        samples: int = 256,
    ) -> None:
        anchors = Anchors(sizes, ratios, strides)
        phases = ('training', 'testing')
        super().__init__(
            cast(AnchorGenerator, anchors),  # is called alike, and places the anchors of detectron2
            RPNHead(in_channels, anchors.counts[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=samples,
            positive_fraction=0.5,
            pre_nms_top_n=dict(zip(phases, candidates)),
            post_nms_top_n=dict(zip(phases, proposals)),
            nms_thresh=0.7,
        )

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: Targets | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """
        Args:
            images: The canvas and the size of each image without padding, to which boxes are clipped.
            features: (B, C, h, w) by name, from fine to coarse.
            targets: ``boxes`` (K, 4) of each image; ``None`` computes no losses.

        Returns:
            (P, 4) proposals of each image, and the losses.
        """
        maps = list(features.values())
        objectness, deltas = self.head(maps)
        counts = [scores[0].numel() for scores in objectness]
        objectness, deltas = map(upcast, concat_box_prediction_layers(objectness, deltas))  # (B * A, 1), (B * A, 4)
        anchors = self.anchor_generator(images, maps)
        decoded = self.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        proposals, _ = self.filter_proposals(decoded, objectness, images.image_sizes, counts)
        if targets is None:
            return proposals, {}
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        losses = self.compute_loss(objectness, deltas, labels, self.box_coder.encode(matched, anchors))
        return proposals, dict(zip(('loss_objectness', 'loss_proposals'), losses))

    def compute_loss(
        self, objectness: Tensor, deltas: Tensor, labels: list[Tensor], box_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        positive, negative = (torch.cat(masks).bool() for masks in self.fg_bg_sampler(labels))
        count = self.fg_bg_sampler.batch_size_per_image * len(labels)
        loss = F.binary_cross_entropy_with_logits(
            objectness.flatten(),
            positive.to(objectness.dtype),
            (positive | negative).to(objectness.dtype),
            reduction='sum',
        )
        distance = (deltas - torch.cat(box_targets)).abs().sum(1)
        # The target of an anchor in an image without objects is infinite.
        return loss / count, torch.where(positive, distance, 0).sum() / count
