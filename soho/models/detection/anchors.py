"""Anchor boxes of the region proposal network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList


class Anchors(nn.Module):
    """Boxes of given sizes and aspect ratios around the corner of every cell.

    Like detectron2's and unlike torchvision's, they are not rounded, and their
    spacing is the stride itself instead of canvas size over map size, so that
    they do not depend on the padding.

    Args:
        sizes: Square roots of the areas, in pixels, for each map.
        ratios: Heights over widths.
        strides: Stride of each map.
    """

    def __init__(self, sizes: Sequence[Sequence[float]], ratios: Sequence[float], strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.counts = [len(of_map) * len(ratios) for of_map in sizes]
        root = torch.tensor(ratios).sqrt()
        for i, of_map in enumerate(sizes):
            width, height = ((torch.tensor(of_map)[:, None] * side).flatten() for side in (1 / root, root))
            self.register_buffer(f'cell{i}', torch.stack([-width, -height, width, height], 1) / 2, persistent=False)

    def forward(self, images: ImageList, maps: Sequence[Tensor]) -> list[Tensor]:
        """The same (A, 4) boxes for each image: map by map, row by row, cell by cell."""
        boxes = []
        for i, (feature, stride) in enumerate(zip(maps, self.strides)):
            height, width = feature.shape[-2:]
            cell = getattr(self, f'cell{i}')
            y = torch.arange(height, device=cell.device) * stride
            x = torch.arange(width, device=cell.device) * stride
            corner = torch.stack(torch.meshgrid(x, y, indexing='xy'), -1).repeat(1, 1, 2)  # (h, w, 4)
            boxes.append((corner.reshape(-1, 1, 4) + cell).flatten(0, 1))
        return [torch.cat(boxes)] * len(images.image_sizes)
