"""Models, and the parts they are wired from."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'detector': ['Detector'],
        'preprocessor': ['ImageTextPreprocessor'],
        'soho': ['SOHO'],
        'sync_bn': ['SyncBatchNorm', 'convert_sync_batchnorm', 'synchronize_parts'],
        'virtex': ['VirTex'],
    },
)
