from soho.engine.hooks.finite_loss import FiniteLossHook
from soho.engine.hooks.fold_norms import FoldNormsHook
from soho.engine.hooks.precise_norm import PreciseNormHook
from soho.engine.hooks.rank_zero_buffers import RankZeroBuffersHook
from soho.engine.hooks.release_memory import ReleaseMemoryHook
from soho.engine.hooks.runtime_info import RuntimeInfoHook

__all__ = [
    'FiniteLossHook',
    'FoldNormsHook',
    'PreciseNormHook',
    'RankZeroBuffersHook',
    'ReleaseMemoryHook',
    'RuntimeInfoHook',
]
