from soho.evaluation.evaluator import Evaluator, Metric
from soho.evaluation.vqa import VQAAccuracy

__all__ = ['Evaluator', 'Metric', 'VQAAccuracy']
