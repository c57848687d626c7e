from soho.models.backbones.resnet import ResNet
from soho.models.backbones.timm_backbone import TimmBackbone

__all__ = ['ResNet', 'TimmBackbone']
