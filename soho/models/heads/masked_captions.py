"""Masked language modelling on the captions of an image.

Paper: VirTex, arXiv:2006.06666, section 4.2. Official file:
virtex/models/masked_lm.py.
"""

from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.models.heads.mlm import MLMHead
from soho.models.structures import CaptionFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class MaskedCaptionHead(MLMHead):
    """Masked language modelling with the caption transformer of VirTex."""

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('caption_tokens', 'caption_lengths', 'masked_labels')

    def connect(self, language: nn.Module | None) -> None:
        """Share nothing: the caption transformer computes the logits."""

    def text_positions(self, batch: Batch, mode: str) -> dict[str, Tensor]:
        return dict(caption_tokens=target_positions(batch, 'masked_labels'))

    def logits(self, features: CaptionFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(P, V) logits and (P,) labels of the masked tokens."""
        labels = batch['masked_labels'].flatten()
        return features.logits['caption_tokens'], labels[target_positions(batch, 'masked_labels')]
