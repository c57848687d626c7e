"""What a model learns from and answers with, one head a task."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'base': ['Head'],
        'captioning': ['CaptioningHead'],
        'classification': ['ClassificationHead'],
        'itm': ['ITMHead'],
        'masked_captions': ['MaskedCaptionHead'],
        'mlm': ['MLMHead'],
        'multi_attribute': ['MultiAttributeHead'],
        'multi_label': ['MultiLabelHead'],
        'mvm': ['MVMHead'],
        'retrieval': ['RetrievalHead'],
    },
)
