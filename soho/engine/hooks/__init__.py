"""What happens around a step, one hook a file."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'chance_loss': ['ChanceLossHook'],
        'checkpoint': ['CheckpointHook'],
        'dictionary_usage': ['DictionaryUsageHook'],
        'early_stopping': ['EarlyStoppingHook'],
        'finite_loss': ['FiniteLossHook'],
        'fold_norms': ['FoldNormsHook'],
        'precise_norm': ['PreciseNormHook'],
        'rank_zero_buffers': ['RankZeroBuffersHook'],
        'release_memory': ['ReleaseMemoryHook'],
        'runtime_info': ['RuntimeInfoHook'],
    },
)
