"""What is done to one sample."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'augmentation': ['CenterCrop', 'ColorJitter', 'RandomResizedCrop', 'ResizeShortEdge'],
        'boxes': ['PlaceObjects', 'RandomResizeShortEdge'],
        'captions': ['LabelTokens', 'MaskCaption', 'TokenizeCaption'],
        'image': ['LoadImage', 'RandomFlip', 'RandomResizeKeepRatio', 'ResizeKeepRatio'],
        'negatives': ['ReplaceWord'],
        'pairs': ['SwapImages'],
        'scales': ['ResizeScales'],
        'text': ['DrawVisualMask', 'MaskTokens', 'PackSample', 'Tokenize'],
    },
)
