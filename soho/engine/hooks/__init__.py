from soho.engine.hooks.finite_loss import FiniteLossHook

__all__ = ['FiniteLossHook']
