"""Object detection and instance segmentation: Faster R-CNN and Mask R-CNN on the CNNs of this project.

Papers: Faster R-CNN, arXiv:1506.01497; Feature Pyramid Networks, arXiv:1612.03144; Mask R-CNN, arXiv:1703.06870.
"""

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection.image_list import ImageList

from soho.datasets.batch import Batch
from soho.models.structures import Targets
from soho.registry import MODELS


@MODELS.register_module()
class Detector(BaseModel):
    """Two-stage detector: region proposals, then a class, a box and a mask for each.

    Args:
        backbone: Image -> feature maps, from fine to coarse.
        rpn: Feature maps -> proposals.
        regions: Feature maps and proposals -> classes, boxes and masks.
        neck: Feature maps -> pyramid; ``None`` uses the last map alone (C4).
        region_stage: Name of a stage of the backbone that is applied to each
            region instead of the image, ``'layer4'`` for C4. It stays part of
            the backbone, and so of every checkpoint's CNN.
        data_preprocessor: Batch -> device, normalised.
        init_cfg: mmengine's initialisation.
    """

    def __init__(
        self,
        backbone: dict,
        rpn: dict,
        regions: dict,
        neck: dict | None = None,
        region_stage: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='ImageTextPreprocessor')), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.rpn = MODELS.build(rpn)
        self.heads = ModuleDict(dict(regions=MODELS.build(regions)))
        self.region_stage = region_stage

    def forward(self, mode: str = 'tensor', **batch: Tensor) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """
        Args:
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (the feature maps by name).
            **batch: The preprocessed batch, see :mod:`soho.datasets.batch`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list (see :meth:`predict`); or (B, C, h, w) maps by name.
        """
        features = self.encode_image(batch['image'])
        if mode == 'tensor':
            return features
        images = ImageList(batch['image'], [tuple(size) for size in batch['image_size'].tolist()])
        targets = self.targets(batch) if mode == 'loss' else None
        proposals, losses = self.rpn(images, features, targets)
        stage = getattr(self.backbone, self.region_stage) if self.region_stage else None
        detections, region_losses = self.heads['regions'](features, proposals, images.image_sizes, targets, stage)
        return dict(losses, **region_losses) if mode == 'loss' else [self.predict(detections, batch)]

    def encode_image(self, image: Tensor) -> dict[str, Tensor]:
        """Feature maps (B, C, h, w) by name, of images (B, 3, H, W)."""
        maps = self.backbone(image)
        return self.neck(maps) if self.neck else {'0': maps[-1]}

    def targets(self, batch: Batch) -> Targets:
        """Objects of each image without padding, in the form that torchvision's detection modules take."""
        fields = dict(boxes=batch['boxes'], labels=batch['box_labels'])
        if 'mask_edges' in batch:
            fields['masks'] = batch['mask_edges']
        return [
            {name: field[i][labels > 0] for name, field in fields.items()}
            for i, labels in enumerate(batch['box_labels'])
        ]

    def predict(self, detections: list[dict[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
        """
        Args:
            detections: Of each image, K of them: ``boxes`` (K, 4) in pixels of the canvas, ``scores`` (K,),
                ``labels`` (K,) and with a mask head ``masks`` (K, size, size), see :class:`RegionHeads`.
            batch: The preprocessed batch.

        Returns:
            With K the largest number of detections of an image, padded with zeros:
            ``image_id`` (B,) int64, ``full_size`` (B, 2) int64, ``boxes`` (B, K, 4)
            float32 in pixels of the full image, ``scores`` (B, K) float32 in
            descending order, ``labels`` (B, K) int64, 0 for padding, and with a
            mask head ``masks`` (B, K, size, size) float32 in [0, 1], relative to the box.
        """
        prediction = dict(image_id=batch['image_id'], full_size=batch['full_size'])
        for name in detections[0]:
            prediction[name] = pad_sequence([result[name] for result in detections], batch_first=True)
        scale = (batch['full_size'] / batch['image_size']).flip(1)  # (B, 2), x and y
        prediction['boxes'] = prediction['boxes'] * torch.cat([scale, scale], 1)[:, None]
        return prediction
