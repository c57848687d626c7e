"""VirTex: CNN -> caption transformer -> heads; the CNN is pretrained by captioning.

Paper: VirTex: Learning Visual Representations from Textual Annotations, CVPR
2021, arXiv:2006.06666.
"""

from contextlib import nullcontext
from typing import Any

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.base import Head, connect_heads, run_heads
from soho.models.structures import CaptionFeatures, VisualFeatures
from soho.registry import MODELS


@MODELS.register_module()
class VirTex(BaseModel):
    """A CNN and a transformer that predicts captions from its feature map.

    Args:
        backbone: Image -> feature maps.
        heads: One config a head, by name; their losses are added.
        language: Feature map and captions -> logits. ``None`` for heads that
            use the image alone.
        data_preprocessor: Batch -> device, normalised.
        frozen_backbone: Keep the backbone in eval mode and without gradient
            while the heads train on its features.
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
        built: dict[str, Head] = {name: MODELS.build(head) for name, head in heads.items()}
        self.heads: Any = ModuleDict(built)  # torch's ModuleDict does not say of what class its modules are
        connect_heads(built, self.language)
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
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (features of the images).
            **batch: The preprocessed batch, see :mod:`soho.datasets.batch`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list; or :class:`VisualFeatures`.
        """
        visual = self.encode_image(batch['image'])
        if mode == 'tensor':
            return visual
        return run_heads(self.heads, mode, self.read_captions(visual, batch, mode), batch)

    def encode_image(self, image: Tensor) -> VisualFeatures:
        """Features of images, shared by all their captions.

        Args:
            image: (B, 3, H, W) float32, normalised, without padding.

        Returns:
            The last feature map (B, C, h, w) and, with a language model, its projection (B, h * w, D).
        """
        with torch.no_grad() if self.frozen_backbone else nullcontext():
            feature = self.backbone(image)[-1]  # (B, C, h, w)
        return VisualFeatures(feature, self.language.project_memory(feature) if self.language else None)

    def read_captions(self, visual: VisualFeatures, batch: Batch, mode: str) -> CaptionFeatures:
        """Input of the heads: the feature map, logits of the captions, and a decoding step.

        Raises:
            UserError: Two heads read logits of the same tokens.
        """
        if self.language is None:
            return CaptionFeatures(visual.feature, {})
        logits: dict[str, Tensor] = {}
        lengths = batch['caption_lengths'].flatten() if 'caption_lengths' in batch else None  # (R,)
        for head in self.heads.values():
            for name, positions in head.text_positions(batch, mode).items():
                if name in logits:
                    raise UserError(f'two heads read {name}: captions are either read whole or with hidden tokens')
                tokens, backward = batch[name].flatten(0, -2), name == 'noitpac_tokens'  # (R, L)
                logits[name] = self.language(visual.memory, tokens, lengths, backward, positions).logits
        return CaptionFeatures(visual.feature, logits, self.language.make_decode_step(visual.memory))
