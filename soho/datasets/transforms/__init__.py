"""What is done to one sample: importing this package registers every transform."""
from soho.datasets.transforms.image import LoadImage, RandomFlip, RandomResizeKeepRatio, ResizeKeepRatio
from soho.datasets.transforms.text import DrawVisualMask, MaskTokens, PackSample, Tokenize

__all__ = [
    'DrawVisualMask', 'LoadImage', 'MaskTokens', 'PackSample', 'RandomFlip', 'RandomResizeKeepRatio',
    'ResizeKeepRatio', 'Tokenize'
]
