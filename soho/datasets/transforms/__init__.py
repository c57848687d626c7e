"""What is done to one sample: importing this package registers every transform."""

from soho.datasets.transforms.augmentation import CenterCrop, ColorJitter, RandomResizedCrop, ResizeShortest
from soho.datasets.transforms.boxes import PlaceObjects, ResizeShortEdge
from soho.datasets.transforms.captions import LabelTokens, MaskCaption, TokenizeCaption
from soho.datasets.transforms.image import LoadImage, RandomFlip, RandomResizeKeepRatio, ResizeKeepRatio
from soho.datasets.transforms.text import DrawVisualMask, MaskTokens, PackSample, Tokenize

__all__ = [
    'CenterCrop',
    'ColorJitter',
    'DrawVisualMask',
    'LabelTokens',
    'LoadImage',
    'MaskCaption',
    'MaskTokens',
    'PackSample',
    'PlaceObjects',
    'RandomFlip',
    'RandomResizeKeepRatio',
    'RandomResizedCrop',
    'ResizeKeepRatio',
    'ResizeShortEdge',
    'ResizeShortest',
    'Tokenize',
    'TokenizeCaption',
]
