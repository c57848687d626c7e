"""What a Python user calls."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'captioner': ['Captioner'],
        'explanation': ['Explanation'],
        'feature_extractor': ['FeatureExtractor'],
        'inferencer': ['Inferencer', 'Query'],
        'loading': ['load'],
        'model_zoo': ['list_models', 'sample_image'],
        'retriever': ['Retriever'],
        'statements': ['VisualEntailment', 'VisualReasoning'],
        'vqa': ['VQA'],
    },
)
