"""RoIAlign (arXiv:1703.06870) of each region from the pyramid level that fits its size."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align
from torchvision.ops._utils import convert_boxes_to_roi_format

from soho.models.precision import no_autocast, upcast

# A region of 224 x 224 pixels belongs to the level of stride 16 (arXiv:1612.03144, equation 1).
CANONICAL_SIZE, CANONICAL_STRIDE = 224, 16


class RegionPool(nn.Module):
    """(size, size) features of every region, with half-pixel alignment (detectron2's ROIAlignV2).

    Pooling is in float32, whatever the type of the maps: in bfloat16 a box at pixel 1000 moves by up to 4 pixels.

    Args:
        size: Cells per side.
        strides: Strides of the maps, from fine to coarse, each twice the one before.
    """

    def __init__(self, size: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.size = size
        self.strides = tuple(strides)

    def levels(self, boxes: Tensor) -> Tensor:
        """(R,) int64, the index of the map that each of the (R, 4) boxes is pooled from."""
        size = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
        canonical = math.log2(CANONICAL_STRIDE / self.strides[0])
        level = torch.floor(canonical + torch.log2(size / CANONICAL_SIZE + 1e-8))
        return level.clamp(0, len(self.strides) - 1).long()

    def forward(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """
        Args:
            maps: (B, C, h, w), one for each stride.
            boxes: (R_i, 4) in pixels, one for each image.

        Returns:
            (R, C, size, size) of the maps' dtype, image by image.
        """
        boxes = [upcast(box) for box in boxes]
        regions = convert_boxes_to_roi_format(boxes)  # (R, 5)
        if len(self.strides) == 1:
            return self._align(maps[0], regions, self.strides[0])
        levels = self.levels(regions[:, 1:])
        order, pooled = [], []
        for level, (feature, stride) in enumerate(zip(maps, self.strides)):
            members = torch.where(levels == level)[0]
            order.append(members)
            pooled.append(self._align(feature, regions[members], stride))
        return torch.cat(pooled)[torch.cat(order).argsort()]

    def _align(self, feature: Tensor, regions: Tensor, stride: int) -> Tensor:
        with no_autocast(feature):
            exact = upcast(feature)
            pooled = roi_align(exact, regions.to(exact.dtype), self.size, 1 / stride, sampling_ratio=0, aligned=True)
        return pooled.to(feature.dtype)
