from soho.evaluation.attribute_accuracy import AttributeAccuracy
from soho.evaluation.captions import CaptionMetrics
from soho.evaluation.classification import ClassificationAccuracy
from soho.evaluation.detection import LVISAP, VOCAP, CocoAP
from soho.evaluation.dump import PredictionDump
from soho.evaluation.evaluator import Evaluator, Metric
from soho.evaluation.pretrain import PretrainMetrics
from soho.evaluation.vqa import VQAAccuracy

__all__ = [
    'LVISAP',
    'VOCAP',
    'CaptionMetrics',
    'CocoAP',
    'Evaluator',
    'AttributeAccuracy',
    'Metric',
    'PredictionDump',
    'PretrainMetrics',
    'ClassificationAccuracy',
    'VQAAccuracy',
]
