from soho.evaluation.captions.metric import CaptionMetrics, load_references, score_captions
from soho.evaluation.captions.scores import Score, bleu, cider_d, rouge_l
from soho.evaluation.captions.treebank import tokenize

__all__ = ['CaptionMetrics', 'Score', 'bleu', 'cider_d', 'load_references', 'rouge_l', 'score_captions', 'tokenize']
