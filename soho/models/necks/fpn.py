"""Feature pyramid network. Paper: arXiv:1612.03144."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from soho.registry import MODELS


@MODELS.register_module()
class FPN(FeaturePyramidNetwork):
    """torchvision's pyramid with a batch-norm after every convolution and one coarser level on top.

    Args:
        in_channels: Channels of the backbone's maps, from fine to coarse.
        out_channels: Channels of every level.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int = 256) -> None:
        super().__init__(list(in_channels), out_channels, LastLevelMaxPool(), nn.BatchNorm2d)

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """(B, C_i, h, w) maps to (B, out_channels, h, w) levels by name, one more than maps."""
        return super().forward({str(i): feature for i, feature in enumerate(maps)})
