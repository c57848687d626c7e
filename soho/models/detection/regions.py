"""Second stage of a detector: class, box and mask of each proposal.

Papers: Faster R-CNN, arXiv:1506.01497; Mask R-CNN, arXiv:1703.06870.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads

from soho.errors import UserError
from soho.models.detection.heads import MaskHead
from soho.models.detection.outlines import rasterize
from soho.models.detection.pooling import RegionPool
from soho.models.precision import upcast
from soho.models.structures import Targets
from soho.registry import MODELS


@MODELS.register_module()
class RegionHeads(RoIHeads):
    """RoI heads with torchvision's sampling and suppression and detectron2's pooling and losses.

    The losses are cross entropy, L1 and, for masks, binary cross entropy.

    Args:
        num_classes: Classes, without the background.
        box_head: Config of the head: (R, C, size, size) -> (R, D).
        mask_head: Config of the mask head, or None for boxes alone.
        size: Cells per side of the box head's input.
        strides: Strides of the maps that are pooled from; further maps serve the proposals only.
        samples: Proposals sampled per image for training, at most a quarter of them positive.
        score_threshold: Minimum score of a detection.
        max_detections: Maximum number of detections of an image.
    """

    def __init__(
        self,
        num_classes: int,
        box_head: dict,
        mask_head: dict | None = None,
        size: int = 7,
        strides: Sequence[int] = (4, 8, 16, 32),
        samples: int = 512,
        score_threshold: float = 0.05,
        max_detections: int = 100,
    ) -> None:
        box = MODELS.build(box_head)
        super().__init__(
            RegionPool(size, strides),
            box,
            FastRCNNPredictor(box.out_channels, num_classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=samples,
            positive_fraction=0.25,
            bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
            score_thresh=score_threshold,
            nms_thresh=0.5,
            detections_per_img=max_detections,
        )
        self.num_classes = num_classes
        for layer, std in ((self.box_predictor.cls_score, 0.01), (self.box_predictor.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
        if mask_head:
            self.mask_head = MODELS.build(dict(num_classes=num_classes, **mask_head))
            self.mask_roi_pool = RegionPool(self.mask_head.in_size, strides)

    def has_mask(self) -> bool:
        return self.mask_head is not None

    num_images = 1
    mask_head: MaskHead | None
    mask_roi_pool: RegionPool | None

    def required_fields(self, mode: str) -> tuple[str, ...]:
        """Batch fields that are read; see :class:`soho.models.heads.base.Head`."""
        if mode == 'predict':
            return 'image_id', 'full_size'
        return ('boxes', 'box_labels', 'mask_edges') if self.has_mask() else ('boxes', 'box_labels')

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Check the number of classes of a data set; see :class:`soho.models.heads.base.Head`."""
        names = metainfo.get('class_names')
        if names is not None and len(names) != self.num_classes:
            raise UserError(
                f'the model has num_classes={self.num_classes}, but the dataset of {source} has '
                f'{len(names)}: {", ".join(names[:3])} ...'
            )

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_sizes: list[tuple[int, int]],
        targets: Targets | None = None,
        stage: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """
        Args:
            features: (B, C, h, w) by name, from fine to coarse.
            proposals: (P, 4) of each image.
            image_sizes: Size (h, w) of each image without padding.
            targets: ``boxes`` (K, 4), ``labels`` (K,) from 1 and, with a mask head, ``masks`` (K, E, 4), the
                edges of the outlines, of each image; ``None`` for detection.
            stage: Module applied to the regions before the box head (C4: the last stage of the backbone).

        Returns:
            Without targets, ``boxes``, ``scores``, ``labels`` and, with a mask head, ``masks`` (D, size, size)
            in [0, 1] of each image, in descending order of score, and no losses; with targets, an empty list
            and the losses.
        """
        maps = list(features.values())
        if targets is None:
            scores, deltas = self._score_boxes(maps, proposals, stage)
            return self._detect(maps, scores, deltas, proposals, image_sizes), {}
        proposals, matched, labels, box_targets = self.select_training_samples(proposals, targets)
        scores, deltas = self._score_boxes(maps, proposals, stage)
        losses = self._box_losses(scores, deltas, torch.cat(labels), torch.cat(box_targets))
        if self.has_mask():
            losses['loss_mask'] = self._mask_loss(maps, proposals, matched, labels, targets)
        return [], losses

    def _score_boxes(
        self, maps: list[Tensor], proposals: list[Tensor], stage: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """(R, C + 1) scores and (R, (C + 1) * 4) deltas of the boxes of the proposals of all images."""
        regions = self.box_roi_pool(maps, proposals)
        scores, deltas = self.box_predictor(self.box_head(stage(regions) if stage else regions))
        return upcast(scores), upcast(deltas)

    def _box_losses(self, scores: Tensor, deltas: Tensor, labels: Tensor, box_targets: Tensor) -> dict[str, Tensor]:
        """Losses of (R, C + 1) scores and (R, (C + 1) * 4) deltas against (R,) labels and (R, 4) target deltas."""
        own = deltas.view(len(labels), -1, 4)[torch.arange(len(labels), device=labels.device), labels]
        distance = (own - box_targets).abs().sum(1)
        # The target of a background region in an image without objects is infinite.
        return dict(
            loss_class=F.cross_entropy(scores, labels),
            loss_box=torch.where(labels > 0, distance, 0).sum() / max(len(labels), 1),
        )

    def _mask_loss(
        self, maps: list[Tensor], proposals: list[Tensor], matched: list[Tensor], labels: list[Tensor], targets: Targets
    ) -> Tensor:
        assert self.mask_head is not None and self.mask_roi_pool is not None, 'see has_mask'
        boxes, classes, masks = [], [], []
        for box, match, label, target in zip(proposals, matched, labels, targets):
            positive = label > 0
            boxes.append(box[positive])
            classes.append(label[positive])
            masks.append(rasterize(target['masks'][match[positive]], box[positive], self.mask_head.size))
        logits = self.mask_head(self.mask_roi_pool(maps, boxes), torch.cat(classes))
        loss = F.binary_cross_entropy_with_logits(upcast(logits), torch.cat(masks), reduction='sum')
        return loss / max(logits.numel(), 1)

    def _detect(
        self,
        maps: list[Tensor],
        scores: Tensor,
        deltas: Tensor,
        proposals: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        detections = self.postprocess_detections(scores, deltas, proposals, image_sizes)
        results = [dict(boxes=b, scores=s, labels=n) for b, s, n in zip(*detections)]
        if self.mask_head is not None and self.mask_roi_pool is not None:
            boxes, _, labels = detections
            logits = self.mask_head(self.mask_roi_pool(maps, boxes), torch.cat(labels))
            for result, masks in zip(results, upcast(logits).sigmoid().split([len(b) for b in boxes])):
                result['masks'] = masks
        return results
