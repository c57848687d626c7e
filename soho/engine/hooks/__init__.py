from soho.engine.hooks.finite_loss import FiniteLossHook
from soho.engine.hooks.precise_norm import PreciseNormHook

__all__ = ['FiniteLossHook', 'PreciseNormHook']
