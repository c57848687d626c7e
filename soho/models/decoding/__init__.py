"""Ways of writing a text with a language model: beam search and nucleus sampling."""

from soho.models.decoding.beam_search import BeamSearch
from soho.models.decoding.nucleus_sampling import NucleusSampling

__all__ = ['BeamSearch', 'NucleusSampling']
