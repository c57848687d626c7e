from soho.evaluation.evaluator import Evaluator, Metric

__all__ = ['Evaluator', 'Metric']
