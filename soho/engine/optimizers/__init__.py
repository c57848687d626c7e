from soho.engine.optimizers.adamw_lars import AdamWLARS
from soho.engine.optimizers.adamw_sgd import AdamWSGD
from soho.engine.optimizers.constructor import PatternConstructor
from soho.engine.optimizers.lookahead import Lookahead

__all__ = ['AdamWLARS', 'AdamWSGD', 'Lookahead', 'PatternConstructor']
