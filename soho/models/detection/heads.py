"""What is computed for each region: a vector for its class and box, and a mask."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soho.registry import MODELS


@MODELS.register_module()
class FCBoxHead(nn.Module):
    """Two linear layers over the region's cells (arXiv:1612.03144).

    Args:
        in_channels: Of the region's features.
        size: Cells a side.
        channels: Of the result.
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
    """Batch-norm and mean over the region's cells, behind a stage of the backbone.

    Source: ``Res5ROIHeadsExtraNorm`` of the official VirTex (scripts/eval_detectron2.py).

    Args:
        in_channels: Of the stage.
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
    """Four convolutions, one up-sampling, and a mask of the one class that is asked for (arXiv:1703.06870).

    The last layer holds a mask of every class; only that of the region's own
    class is ever looked at, so only it is computed: for 256 regions and LVIS's
    1,203 classes 0.8 MB of scores instead of 966.

    Args:
        num_classes: Classes, without the background.
        in_channels: Of the region's features.
        channels: Of the convolutions.
        convs: How many.
        size: Cells a side of the region's features; the mask has twice as many.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 256, channels: int = 256, convs: int = 4, size: int = 14
    ) -> None:
        super().__init__()
        self.in_size, self.size = size, 2 * size
        widths = [in_channels] + [channels] * convs
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.masks = nn.Conv2d(channels, num_classes, 1)
        for layer in (*self.convs, self.up):
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.masks.weight, std=0.001)
        nn.init.zeros_(self.masks.bias)

    def forward(self, regions: Tensor, labels: Tensor) -> Tensor:
        """(R, C, in_size, in_size) and (R,) classes, from 1, to (R, size, size) logits."""
        for conv in self.convs:
            regions = F.relu(conv(regions))
        x = F.relu(self.up(regions))  # (R, C, size, size)
        weight, bias = self.masks.weight[labels - 1].flatten(1), self.masks.bias[labels - 1]
        return torch.einsum('rchw,rc->rhw', x, weight.to(x.dtype)) + bias[:, None, None]
