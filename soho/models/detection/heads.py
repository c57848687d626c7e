"""Box and mask heads of a detector: features of each region to a vector, or to a mask."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soho.registry import MODELS


@MODELS.register_module()
class FCBoxHead(nn.Module):
    """Two linear layers on the flattened features of a region (arXiv:1612.03144).

    Args:
        in_channels: Channels of the region's features.
        size: Cells per side.
        channels: Channels of the result.
    """

    def __init__(self, in_channels: int = 256, size: int = 7, channels: int = 1024) -> None:
        super().__init__()
        self.out_channels = channels
        self.fc1 = nn.Linear(in_channels * size**2, channels)
        self.fc2 = nn.Linear(channels, channels)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, regions: Tensor) -> Tensor:
        """(R, C, size, size) to (R, channels)."""
        return F.relu(self.fc2(F.relu(self.fc1(regions.flatten(1)))))


@MODELS.register_module()
class NormBoxHead(nn.Module):
    """Batch-norm and mean over the cells of a region, after a stage of the backbone.

    Source: ``Res5ROIHeadsExtraNorm`` of the official VirTex (scripts/eval_detectron2.py).

    Args:
        in_channels: Output channels of the stage.
    """

    def __init__(self, in_channels: int = 2048) -> None:
        super().__init__()
        self.out_channels = in_channels
        self.norm = nn.BatchNorm2d(in_channels)

    def forward(self, regions: Tensor) -> Tensor:
        """(R, C, size, size) to (R, C)."""
        return self.norm(regions).mean((2, 3))


@MODELS.register_module()
class MaskHead(nn.Module):
    """Convolutions, one up-sampling, and the mask of one class per region (arXiv:1703.06870).

    The last layer has weights for a mask of every class; only that of the
    region's own class is used, so only it is computed: for 256 regions and
    LVIS's 1,203 classes 0.8 MB of logits instead of 966.

    Args:
        num_classes: Classes, without the background.
        in_channels: Channels of the region's features.
        channels: Channels of the convolutions.
        convs: Number of convolutions.
        size: Cells per side of the region's features; the mask has twice as many.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 256, channels: int = 256, convs: int = 4, size: int = 14
    ) -> None:
        super().__init__()
        self.in_size, self.size = size, 2 * size
        widths = [in_channels] + [channels] * convs
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:])]
        self.convs = nn.ModuleList(convolutions)
        self.up = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.masks = nn.Conv2d(channels, num_classes, 1)
        for layer in (*convolutions, self.up):
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.masks.weight, std=0.001)
        assert self.masks.bias is not None
        nn.init.zeros_(self.masks.bias)

    def forward(self, regions: Tensor, labels: Tensor) -> Tensor:
        """(R, C, in_size, in_size) and (R,) classes, from 1, to (R, size, size) logits."""
        for conv in self.convs:
            regions = F.relu(conv(regions))
        x = F.relu(self.up(regions))  # (R, C, size, size)
        assert self.masks.bias is not None
        weight, bias = self.masks.weight[labels - 1].flatten(1), self.masks.bias[labels - 1]
        return torch.einsum('rchw,rc->rhw', x, weight.to(x.dtype)) + bias[:, None, None]
