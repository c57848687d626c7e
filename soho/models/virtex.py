"""VirTex: a CNN learnt from captions.

Paper: VirTex: Learning Visual Representations from Textual Annotations, CVPR
2021, arXiv:2006.06666.
"""

from contextlib import nullcontext

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor

from soho.models.heads.base import Batch, ask
from soho.models.structures import VisualFeatures
from soho.registry import MODELS


@MODELS.register_module()
class VirTex(BaseModel):
    """How the parts are wired; what each does is its own affair.

    Args:
        backbone: Image -> feature maps.
        heads: One config a head, by name; their losses are added.
        language: Feature map and captions -> textual features. ``None`` for
            heads that look at the image alone.
        data_preprocessor: Batch -> device, normalised.
        frozen_backbone: The backbone stays as it is, in eval mode and without
            a gradient, while the heads learn from what it sees.
        init_cfg: mmengine's initialisation.
    """

    def __init__(
        self,
        backbone: dict,
        heads: dict[str, dict],
        language: dict | None = None,
        data_preprocessor: dict | None = None,
        frozen_backbone: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='ImageTextPreprocessor')), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.language = MODELS.build(language) if language else None
        self.heads = ModuleDict({name: MODELS.build(head) for name, head in heads.items()})
        self.frozen_backbone = frozen_backbone
        if frozen_backbone:
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> 'VirTex':
        super().train(mode)
        if self.frozen_backbone:
            self.backbone.eval()
        return self

    def forward(
        self, mode: str = 'tensor', **batch: Tensor
    ) -> dict[str, Tensor] | list[dict[str, Tensor]] | VisualFeatures:
        """
        Args:
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (what the image looks like).
            **batch: The preprocessed batch, see :mod:`soho.datasets.collate`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list; or :class:`VisualFeatures`.
        """
        seen = self.encode_image(batch)
        return seen if mode == 'tensor' else ask(self.heads, mode, seen, batch)

    def encode_image(self, batch: Batch) -> VisualFeatures:
        """The image, as the heads look at it; it fills its canvas."""
        with torch.no_grad() if self.frozen_backbone else nullcontext():
            feature = self.backbone(batch['image'])[-1]  # (B, C, h, w)
        if self.language is None:
            return VisualFeatures(feature)
        return VisualFeatures(feature, self.language, self.language.project_memory(feature))
