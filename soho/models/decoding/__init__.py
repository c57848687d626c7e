"""Ways of writing a text with a language model: beam search and nucleus sampling."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {'beam_search': ['BeamSearch'], 'nucleus_sampling': ['NucleusSampling']}
)
