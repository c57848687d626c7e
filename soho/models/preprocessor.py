"""Data preprocessor: moves a batch to the device and normalises its images there."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from soho.models.target_positions import cache_target_positions
from soho.registry import MODELS


@MODELS.register_module()
class ImageTextPreprocessor(BaseDataPreprocessor):
    """Transfer of a batch to the device and normalisation of its images.

    Images are transferred as uint8, a quarter of the float32 bytes. Padding is
    set to zero *after* normalisation, as in the official pipeline (normalise,
    then pad).

    Args:
        mean: Of each channel, RGB, in grey levels 0..255.
        std: Of each channel, likewise.
        channels_last: Store images as NHWC, the faster layout for convolutions.
        non_blocking: Copy asynchronously (from pinned memory).
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        channels_last: bool = True,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, data: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """
        Args:
            data: The batch; ``image`` uint8 (B, 3, H, W), ``image_size`` int64
                (B, 2). A batch without ``image`` is only moved.

        Returns:
            The same batch with ``image`` float32, zero outside the valid area;
            on an accelerator also with the positions of its targets, see
            :mod:`soho.models.target_positions`.
        """
        batch: Any = self.cast_data(data if self.device.type == 'cpu' else cache_target_positions(data))
        if 'image' in batch:
            batch['image'] = self.normalize(batch['image'], batch['image_size'])
        return batch

    def normalize(self, image: Tensor, image_size: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 and (B, 2) valid sizes to (B, 3, H, W) float32."""
        height, width = image.shape[-2:]
        rows = torch.arange(height, device=image.device) < image_size[:, :1]  # (B, H)
        columns = torch.arange(width, device=image.device) < image_size[:, 1:]  # (B, W)
        valid = rows[:, None, :, None] & columns[:, None, None, :]  # (B, 1, H, W)
        image = image.to(torch.float32, memory_format=self.memory_format, copy=True)
        return image.sub_(self.mean).div_(self.std).mul_(valid)
