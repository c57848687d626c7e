from soho.models import backbones, decoding, detection, heads, language, necks  # noqa: F401  (registers their parts)
from soho.models.detector import Detector
from soho.models.preprocessor import ImageTextPreprocessor
from soho.models.soho import SOHO
from soho.models.sync_bn import SyncBatchNorm, convert_sync_batchnorm
from soho.models.virtex import VirTex

__all__ = ['SOHO', 'Detector', 'ImageTextPreprocessor', 'SyncBatchNorm', 'VirTex', 'convert_sync_batchnorm']
