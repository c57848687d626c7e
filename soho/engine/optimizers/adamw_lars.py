"""AdamW for the transformer with LARS for the CNN. Official file: SOHO/optimizers/AdamwLARS.py."""
from collections.abc import Iterable

import torch
from torch import Tensor

from soho.engine.optimizers.adamw_sgd import AdamWSGD
from soho.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class AdamWLARS(AdamWSGD):
    """:class:`AdamWSGD` with layer-wise rates (LARS, arXiv:1708.03888) in place of SGD.

    A group with ``opt='lars'`` scales each tensor's update by ``eta * |p| /
    (|g| + decay * |p|)``, unless the group has ``lars_exclude=True``. As in
    the official code the momentum buffer already holds the learning rate.

    Args:
        params: Parameters or groups.
        eta: Trust coefficient.
        lars_weight_decay: Decay of LARS groups.
        **kwargs: See :class:`AdamWSGD`.
    """

    rules = ('adamw', 'lars')

    def __init__(self, params: Iterable, eta: float = 0.001, lars_weight_decay: float = 0.0, **kwargs) -> None:
        super().__init__(params, eta=eta, lars_weight_decay=lars_weight_decay, lars_exclude=False, **kwargs)

    def _lars(self, group: dict, params: list[Tensor], grads: list[Tensor]) -> None:
        decay = group['lars_weight_decay']
        updates = list(torch._foreach_add(grads, params, alpha=decay))
        torch._foreach_mul_(updates, group['lr'])
        if not group['lars_exclude']:
            weight_norms, grad_norms = torch._foreach_norm(params), torch._foreach_norm(grads)
            local = [group['eta'] * w / (g + w * decay) for w, g in zip(weight_norms, grad_norms)]
            torch._foreach_mul_(updates, local)
        torch._foreach_sub_(params, self._momentum(group, params, updates))
