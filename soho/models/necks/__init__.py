"""Necks: feature maps to the visual tokens that a language model reads."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'dictionary_neck': ['DictionaryNeck'],
        'fpn': ['FPN'],
        'plain': ['PlainNeck'],
        'visual_dictionary': ['VisualDictionary'],
    },
)
