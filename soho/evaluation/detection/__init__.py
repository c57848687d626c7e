"""Average precision of detections as COCO, LVIS and VOC define it."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {'coco': ['CocoAP'], 'lvis': ['LVISAP'], 'voc': ['VOCAP']})
