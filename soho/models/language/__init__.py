"""Language models: the cross-modal BERT of SOHO and the caption transformer of VirTex."""

from soho.models.language.caption_transformer import CaptionTransformer
from soho.models.language.cross_modal_bert import CrossModalBert

__all__ = ['CaptionTransformer', 'CrossModalBert']
