"""Masked language modelling on captions beside an image.

Paper: VirTex, arXiv:2006.06666, section 4.2. Official file:
virtex/models/masked_lm.py.
"""

from torch import Tensor

from soho.models.heads.base import Batch, gather_positions
from soho.models.heads.mlm import MLMHead
from soho.models.structures import VisualFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class MaskedCaptionHead(MLMHead):
    """:class:`MLMHead` on the textual side of VirTex.

    Reads ``caption_tokens`` (B, L) int64 with masked tokens,
    ``caption_lengths`` (B,) int64, and ``masked_labels`` (B, L) int64, 0 where
    nothing is asked.
    """

    def scores(self, seen: VisualFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M, V) logits and (M,) labels of the hidden words."""
        features = seen.language(seen.memory, batch['caption_tokens'], batch['caption_lengths'])
        features, labels = gather_positions(features, batch['masked_labels'], target_positions(batch, 'masked_labels'))
        return seen.language.logits(features), labels
