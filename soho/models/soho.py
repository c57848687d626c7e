"""SOHO: CNN -> visual dictionary -> cross-modal BERT -> heads.

Paper: Seeing Out of tHe bOx: End-to-End Pre-training for Vision-Language
Representation Learning, CVPR 2021, arXiv:2104.03135.
"""

from typing import Any

from mmengine.model import BaseModel, ModuleDict
from torch import Tensor

from soho.errors import UserError
from soho.models.heads.base import Head, connect_heads, run_heads
from soho.models.heads.positions import merge_positions
from soho.models.structures import FusedFeatures, VisualTokens
from soho.models.widths import fill_widths
from soho.registry import MODELS


@MODELS.register_module()
class SOHO(BaseModel):
    """Vision-language model: one transformer over the visual tokens of images and the words of a sentence.

    Args:
        backbone: Image -> feature maps. ``None`` together with ``neck`` makes
            the language-only baseline of a task, without the image.
        neck: Feature map -> visual tokens.
        language: ``[text; visual]`` -> fused features. Its ``hidden_size`` is D; neck and heads need not repeat it.
        heads: One config a head, by name; their losses are added.
        data_preprocessor: Batch -> device, normalised.
        init_cfg: mmengine's initialisation.

    Raises:
        UserError: Backbone without neck or the reverse, or a part of another width.
    """

    def __init__(
        self,
        language: dict,
        heads: dict[str, dict],
        backbone: dict | None = None,
        neck: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='ImageTextPreprocessor')), init_cfg)
        if (backbone is None) != (neck is None):
            raise UserError('backbone and neck go together: give both, or neither for a model without the image')
        neck, heads = fill_widths(language, neck, heads)
        self.backbone = MODELS.build(backbone) if backbone else None
        self.neck = MODELS.build(neck) if neck else None
        self.language = MODELS.build(language)
        built: dict[str, Head] = {name: MODELS.build(head) for name, head in heads.items()}
        self.heads: Any = ModuleDict(built)  # torch's ModuleDict does not say of what class its modules are
        connect_heads(built, self.language)

    def forward(
        self, mode: str = 'tensor', **batch: Tensor
    ) -> dict[str, Tensor] | list[dict[str, Tensor]] | FusedFeatures:
        """
        Args:
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (fused features).
            **batch: The preprocessed batch, see :mod:`soho.datasets.batch`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list; or :class:`FusedFeatures`.
        """
        visual = None
        if self.backbone is not None:
            masking = {name: batch[name] for name in ('mvm_cell', 'mvm_sentences') if name in batch}
            visual = self.encode_image(batch['image'], batch['image_size'], **masking)
        ids, attention = batch['input_ids'], batch['attention_mask']
        if mode == 'tensor':
            return self.fuse(ids, attention, visual)
        cells = visual.valid.size(1) if visual else 0
        read = [head.output_positions(batch, ids.size(2), cells) for head in self.heads.values()]
        fused = self.fuse(ids, attention, visual, merge_positions(read))
        return run_heads(self.heads, mode, fused, batch)

    def encode_image(
        self, image: Tensor, image_size: Tensor, mvm_cell: Tensor | None = None, mvm_sentences: Tensor | None = None
    ) -> VisualTokens:
        """Visual tokens of images, shared by all their sentences.

        Args:
            image: (B*M, 3, H, W) float32, normalised.
            image_size: (B*M, 2) int64, valid height and width in pixels.
            mvm_cell: (B*M,) float in [0, 1), the cell whose dictionary word is masked; ``None`` masks nothing.
            mvm_sentences: (B*M, S) bool, the sentences for which it is masked.

        Returns:
            Tokens (B*M, 1, N, D), or (B*M, S, N, D) where cells are masked, and what is known of their cells.
        """
        assert self.backbone is not None and self.neck is not None, 'this model has no image branch'
        feature = self.backbone(image)[-1]  # (B*M, C, h', w')
        masking = {} if mvm_cell is None else dict(mvm_cell=mvm_cell, mvm_sentences=mvm_sentences)
        return self.neck(feature, image_size, tuple(image.shape[-2:]), **masking)

    def fuse(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        visual: VisualTokens | None = None,
        output_positions: Tensor | None = None,
    ) -> FusedFeatures:
        """Fused features of every sentence of a sample with each of its images.

        Args:
            input_ids: (B, S, L) int64.
            attention_mask: (B, S, L), nonzero at real tokens.
            visual: Of B*M images; ``None`` encodes the text alone.
            output_positions: (P,) int64, positions needed besides [CLS], counted over R rows; by default all.

        Returns:
            Features of R = B * M * S rows.
        """
        b, s, length = input_ids.shape
        m = visual.valid.size(0) // b if visual else self.num_images
        ids = input_ids[:, None].expand(b, m, s, length).reshape(-1, length)  # (R, L)
        attention = attention_mask[:, None].expand(b, m, s, length).reshape(-1, length)
        if visual is None:
            return FusedFeatures(*self.language(ids, attention, output_positions=output_positions))
        n = visual.valid.size(1)
        tokens = visual.tokens.expand(b * m, s, n, -1).flatten(0, 1)  # (R, N, D)
        valid = visual.valid[:, None].expand(b * m, s, n).flatten(0, 1)  # (R, N)
        text, cells = self.language(ids, attention, tokens, valid, output_positions)
        labels = visual.labels.flatten(0, 1) if visual.labels is not None else None
        return FusedFeatures(text, cells, getattr(self.neck, 'dictionary', None), labels)

    @property
    def num_images(self) -> int:
        """M, the images of a sample that the heads read together."""
        return max(head.num_images for head in self.heads.values())
