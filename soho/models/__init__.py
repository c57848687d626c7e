from soho.models import backbones, heads, language, necks  # noqa: F401  (registers their parts)
from soho.models.classifier import ImageClassifier
from soho.models.preprocessor import ImageTextPreprocessor
from soho.models.soho import SOHO
from soho.models.sync_bn import SyncBatchNorm, convert_sync_batchnorm

__all__ = ['SOHO', 'ImageClassifier', 'ImageTextPreprocessor', 'SyncBatchNorm', 'convert_sync_batchnorm']
