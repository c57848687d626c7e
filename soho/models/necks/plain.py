"""The plain neck of the downstream tasks: feature map -> visual tokens, no dictionary.

Official file: SOHO/models/necks/necks.py (``SimpleVDforVQA``).
"""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from soho.models.necks.positions import sine_positions, valid_cells
from soho.models.structures import VisualTokens
from soho.registry import MODELS

SYNC_BN = dict(type='SyncBN')


@MODELS.register_module()
class PlainNeck(BaseModule):
    """Neck without a dictionary: pooling, projection, position encoding, layer norm.

    Args:
        in_channels: Channels C of the backbone's last map.
        out_channels: Hidden size D of the transformer.
        pool: Max-pooling stride before the projection; 1 keeps the map's
            stride (``pool=2`` as published gives stride 64 over a ResNet).
        norm_cfg: Norm after the 1x1 convolution, as mmcv names it.
        square_mask: Known bug of the release: the mask of the valid area is
            built on a square of the canvas *height*, so that it covers too
            little of a wide canvas and too much of a tall one (necks.py:62).
            Official checkpoints were trained with it. By default the mask has
            the shape of the canvas.
        init_cfg: mmengine's initialisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        pool: int = 2,
        norm_cfg: dict | None = SYNC_BN,
        square_mask: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_channels = out_channels
        self.pool = pool
        self.square_mask = square_mask
        self.conv = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.ln = nn.LayerNorm(out_channels)

    def project(self, feature: Tensor, repeats: int = 1) -> tuple[Tensor, tuple[int, int]]:
        """Grid features (B, N, D), N = h * w, of a map (B, C, H', W'), and the grid (h, w).

        Each image counts ``repeats`` times in the statistics of the norm.
        """
        if self.pool > 1:
            feature = F.max_pool2d(feature, self.pool, stride=self.pool)
        grid = conv_norm(self.conv, feature, repeats)  # (B, D, h, w)
        height, width = grid.shape[-2:]
        return grid.flatten(2).transpose(1, 2), (height, width)

    def locate(self, image_size: Tensor, canvas: tuple[int, int], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Validity (B, N) bool and positions (B, N, D) float32 of the cells."""
        if self.square_mask:
            canvas = (canvas[0], canvas[0])
        valid = valid_cells(image_size, canvas, grid)  # (B, h, w)
        return valid.flatten(1), sine_positions(valid, self.out_channels)

    def forward(self, feature: Tensor, image_size: Tensor, canvas: tuple[int, int], **masking: Tensor) -> VisualTokens:
        """
        Args:
            feature: (B, C, H', W'), the backbone's last map.
            image_size: (B, 2) int64, valid height and width in pixels.
            canvas: Height and width of the canvas in pixels.
            **masking: Random numbers of necks that mask; ignored.

        Returns:
            Tokens (B, 1, N, D), their validity and the grid.
        """
        x, grid = self.project(feature)
        valid, positions = self.locate(image_size, canvas, grid)
        return VisualTokens(tokens=self.ln(x + positions)[:, None], valid=valid, grid=grid)


def conv_norm(module: ConvModule, x: Tensor, repeats: int = 1) -> Tensor:
    """Convolution and a norm in whose batch statistics each sample counts ``repeats`` times.

    Mean and variance are the same; only the factor n / (n - 1) of the running
    variance differs.
    """
    if repeats == 1 or not module.training:
        return module(x)
    assert module.norm is not None
    return module.norm(module.conv(x).repeat_interleave(repeats, 0))[::repeats]
