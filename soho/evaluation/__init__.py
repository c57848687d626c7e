from soho.evaluation.attribute_accuracy import LabelAccuracy
from soho.evaluation.captions import CaptionMetrics
from soho.evaluation.classification import TopKAccuracy
from soho.evaluation.detection import LVISAP, VOCAP, CocoAP
from soho.evaluation.dump import PredictionDump
from soho.evaluation.evaluator import Evaluator, Metric
from soho.evaluation.pretrain import PretrainFigures
from soho.evaluation.vqa import VQAAccuracy

__all__ = [
    'LVISAP',
    'VOCAP',
    'CaptionMetrics',
    'CocoAP',
    'Evaluator',
    'LabelAccuracy',
    'Metric',
    'PredictionDump',
    'PretrainFigures',
    'TopKAccuracy',
    'VQAAccuracy',
]
