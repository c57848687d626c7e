"""Optimizers, their wrappers, parameter groups and schedules."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'adamw_lars': ['AdamWLARS'],
        'adamw_sgd': ['AdamWSGD'],
        'constructor': ['PatternConstructor'],
        'lookahead': ['Lookahead'],
    },
)
