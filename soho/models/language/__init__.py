"""Language models: the cross-modal BERT of SOHO and the caption transformer of VirTex."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {'caption_transformer': ['CaptionTransformer'], 'cross_modal_bert': ['CrossModalBert']}
)
