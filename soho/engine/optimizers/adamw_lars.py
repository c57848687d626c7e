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
    skips_on_device = False  # there is no fused kernel of this rule

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

    def _momentum(self, group: dict, params: list[Tensor], updates: list[Tensor]) -> list[Tensor]:
        """Updates through each parameter's momentum buffer, which begins with the first of them."""
        if not group['momentum']:
            return updates
        known = [(self.state[p]['momentum_buffer'], u) for p, u in zip(params, updates) if self.state[p]]
        if known:
            buffers, fresh = map(list, zip(*known))
            torch._foreach_mul_(buffers, group['momentum'])
            torch._foreach_add_(buffers, fresh, alpha=1 - group['dampening'])
        for p, u in zip(params, updates):
            if not self.state[p]:
                self.state[p]['momentum_buffer'] = u.clone()
        buffers = [self.state[p]['momentum_buffer'] for p in params]
        if group['nesterov']:
            return list(torch._foreach_add(updates, buffers, alpha=group['momentum']))
        return buffers
