from soho.models.language.beam_search import BeamSearch
from soho.models.language.caption_transformer import CaptionTransformer
from soho.models.language.cross_modal_bert import CrossModalBert
from soho.models.language.nucleus_sampling import NucleusSampling

__all__ = ['BeamSearch', 'CaptionTransformer', 'CrossModalBert', 'NucleusSampling']
