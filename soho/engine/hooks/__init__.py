from soho.engine.hooks.finite_loss import FiniteLossHook
from soho.engine.hooks.fold_norms import FoldNormsHook

__all__ = ['FiniteLossHook', 'FoldNormsHook']
