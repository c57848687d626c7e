"""Metrics and protocols, one a file."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'attribute_accuracy': ['AttributeAccuracy'],
        'captions.metric': ['CaptionMetrics'],
        'classification': ['ClassificationAccuracy'],
        'detection.coco': ['CocoAP'],
        'detection.lvis': ['LVISAP'],
        'detection.voc': ['VOCAP'],
        'dump': ['PredictionDump'],
        'evaluator': ['Evaluator', 'Metric'],
        'gqa': ['GQAAccuracy'],
        'masked_words': ['MaskedWordAccuracy'],
        'pretrain': ['PretrainMetrics'],
        'retrieval': ['RetrievalRecall'],
        'snli_ve': ['SNLIVEAccuracy'],
        'statements': ['StatementAccuracy'],
        'vqa': ['VQAAccuracy'],
    },
)
