from soho.models.heads.base import Head
from soho.models.heads.captioning import CaptioningHead
from soho.models.heads.classification import ClassificationHead
from soho.models.heads.itm import ITMHead
from soho.models.heads.masked_captions import MaskedCaptionHead
from soho.models.heads.mlm import MLMHead
from soho.models.heads.multi_attribute import MultiAttributeHead
from soho.models.heads.multi_label import MultiLabelHead
from soho.models.heads.mvm import MVMHead

__all__ = [
    'CaptioningHead',
    'ClassificationHead',
    'Head',
    'ITMHead',
    'MultiAttributeHead',
    'MultiLabelHead',
    'MLMHead',
    'MVMHead',
    'MaskedCaptionHead',
]
