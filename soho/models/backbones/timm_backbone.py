"""Backbones from timm."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from soho.registry import MODELS


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """Feature maps of a timm model (``features_only=True``).

    Args:
        model_name: A name from ``timm.list_models()``.
        out_indices: Feature levels that are returned, as timm counts them.
        pretrained: Load timm's weights from the Hub.
        checkpoint_path: Local weight file to load instead, of the whole model or of its features; short for
            ``init_cfg=dict(type='Pretrained', checkpoint=checkpoint_path)``.
        frozen: Keep weights and batch norm statistics as they are: no gradient, always in eval mode.
        init_cfg: mmengine's initialisation.
        **kwargs: Passed to ``timm.create_model``.

    Raises:
        ImportError: timm is not installed.
    """

    def __init__(
        self,
        model_name: str,
        out_indices: Sequence[int] = (-1,),
        pretrained: bool = False,
        checkpoint_path: str = '',
        frozen: bool = False,
        init_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        if checkpoint_path:
            init_cfg = dict(type='Pretrained', checkpoint=checkpoint_path)
        super().__init__(init_cfg)
        try:
            import timm
            from timm.models import FeatureInfo
        except ImportError as error:
            raise ImportError(f"backbone '{model_name}' needs timm: pip install timm") from error
        self.model = timm.create_model(
            model_name, features_only=True, out_indices=tuple(out_indices), pretrained=pretrained, **kwargs
        )
        info = self.model.feature_info
        assert isinstance(info, FeatureInfo)  # of any model with features_only
        self.out_channels = info.channels()
        self.channels_first = getattr(self.model, 'output_fmt', 'NCHW') == 'NCHW'
        self.to(memory_format=torch.channels_last)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)

    def train(self, mode: bool = True) -> 'TimmBackbone':
        return super().train(mode and not self.frozen)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) normalised image to one (B, C, h, w) map for each of ``out_indices``."""
        maps = self.model(image)
        if not self.channels_first:
            maps = [m.permute(0, 3, 1, 2) for m in maps]
        return tuple(maps)
