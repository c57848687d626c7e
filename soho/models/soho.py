"""SOHO: CNN -> visual dictionary -> cross-modal BERT -> heads.

Paper: Seeing Out of tHe bOx: End-to-End Pre-training for Vision-Language
Representation Learning, CVPR 2021, arXiv:2104.03135.
"""

from collections.abc import Iterable

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor

from soho.errors import UserError
from soho.models.heads.base import Batch, Head, ask
from soho.models.structures import FusedFeatures, VisualTokens
from soho.registry import MODELS


@MODELS.register_module()
class SOHO(BaseModel):
    """How the parts are wired; what each does is its own affair.

    Args:
        backbone: Image -> feature maps. ``None`` together with ``neck``
            leaves the image out: the language-only baseline of a task.
        neck: Feature map -> visual tokens.
        language: ``[text; visual]`` -> fused features.
        heads: One config a head, by name; their losses are added.
        data_preprocessor: Batch -> device, normalised.
        init_cfg: mmengine's initialisation.
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
        self.backbone = MODELS.build(backbone) if backbone else None
        self.neck = MODELS.build(neck) if neck else None
        self.language = MODELS.build(language)
        self.heads = ModuleDict({name: MODELS.build(head) for name, head in heads.items()})

    def forward(
        self, mode: str = 'tensor', **batch: Tensor
    ) -> dict[str, Tensor] | list[dict[str, Tensor]] | FusedFeatures:
        """
        Args:
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (fused features).
            **batch: The preprocessed batch, see :mod:`soho.datasets.collate`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list; or :class:`FusedFeatures`.
        """
        if mode == 'tensor':
            return self.fuse(batch)
        return ask(self.heads, mode, self.fuse(batch, self.heads.values()), batch)

    def fuse(self, batch: Batch, readers: Iterable[Head] = ()) -> FusedFeatures:
        """Image and sentences to fused features; for ``readers`` only to those that they look at."""
        ids = batch['input_ids']  # (B, S, L)
        attention = batch['attention_mask'].flatten(0, 1)  # (R, L)
        if self.backbone is None:
            text, visual = self.language(ids.flatten(0, 1), attention, wanted=_wanted(readers, batch, 0))
            return FusedFeatures(text, visual, self.language.word_embeddings)

        seen = self.encode_image(batch)
        b, s, _ = ids.shape
        n = seen.valid.size(1)
        tokens = seen.tokens.expand(b, s, n, -1).flatten(0, 1)  # (R, N, D)
        valid = seen.valid[:, None].expand(b, s, n).flatten(0, 1)  # (R, N)
        text, visual = self.language(ids.flatten(0, 1), attention, tokens, valid, _wanted(readers, batch, n))
        labels = seen.labels.flatten(0, 1) if seen.labels is not None else None
        return FusedFeatures(
            text, visual, self.language.word_embeddings, getattr(self.neck, 'dictionary', None), labels
        )

    def encode_image(self, batch: Batch) -> VisualTokens:
        """Image to visual tokens, once for all its sentences."""
        image = batch['image']  # (B, 3, H, W)
        feature = self.backbone(image)[-1]  # (B, C, h', w')
        draws = {name: batch[name] for name in ('mvm_cell', 'mvm_sentences') if name in batch}
        return self.neck(feature, batch['image_size'], tuple(image.shape[-2:]), **draws)


def _wanted(readers: Iterable[Head], batch: Batch, cells: int) -> Tensor | None:
    """All that the heads look at beside [CLS], see :meth:`Head.reads`."""
    wanted = [head.reads(batch, batch['input_ids'].size(2), cells) for head in readers]
    return torch.cat(wanted) if wanted and all(positions is not None for positions in wanted) else None
