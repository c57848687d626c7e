from soho.models.detection.heads import FCBoxHead, MaskHead, NormBoxHead
from soho.models.detection.regions import RegionHeads
from soho.models.detection.rpn import RPN

__all__ = ['RPN', 'FCBoxHead', 'MaskHead', 'NormBoxHead', 'RegionHeads']
