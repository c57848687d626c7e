from soho.evaluation.detection.coco import CocoAP
from soho.evaluation.detection.lvis import LVISAP
from soho.evaluation.detection.voc import VOCAP

__all__ = ['LVISAP', 'VOCAP', 'CocoAP']
