"""Scores of captions: BLEU, CIDEr-D, ROUGE-L, and METEOR and SPICE where Java is installed."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'metric': ['CaptionMetrics', 'load_references', 'score_captions'],
        'scores': ['Score', 'bleu', 'cider_d', 'rouge_l'],
        'treebank': ['tokenize'],
    },
)
