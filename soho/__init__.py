"""soho: learn from images and the sentences that go with them, end to end."""

from soho.lazy import lazy_names
from soho.platform import name_unknown_user
from soho.version import __version__

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'apis.captioner': ['Captioner'],
        'apis.feature_extractor': ['FeatureExtractor'],
        'apis.loading': ['load'],
        'apis.model_zoo': ['list_models', 'sample_image'],
        'apis.retriever': ['Retriever'],
        'apis.statements': ['VisualEntailment', 'VisualReasoning'],
        'apis.vqa': ['VQA'],
    },
)
__all__ += ['__version__']

name_unknown_user()  # before the first import of mmengine, which fails for one
