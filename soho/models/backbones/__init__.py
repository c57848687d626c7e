"""CNNs: image to feature maps."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {'resnet': ['ResNet'], 'timm_backbone': ['TimmBackbone']})
