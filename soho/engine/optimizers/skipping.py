"""Steps of an optimizer that the device takes or not, while the host goes on."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


def can_skip(optimizer: Optimizer) -> bool:
    """Whether an optimizer changes no tensor while its attribute ``found_inf`` is 1, as torch's fused ones."""
    own = getattr(optimizer, 'skips_on_device', None)
    return getattr(optimizer, '_step_supports_amp_scaling', False) if own is None else own


def step_unless(bad: Tensor | None, optimizer: Optimizer, **kwargs) -> Any:
    """Take a step, but leave parameters and the optimizer's tensors as they are where ``bad``; returns its result.

    The step of an optimizer that cannot do so by itself is undone, which takes a copy of all these tensors.

    Args:
        bad: () bool or float, on the device; ``None`` for no.
        optimizer: Its gradients are set.
        **kwargs: Of its step.
    """
    if bad is None:
        return optimizer.step(**kwargs)
    with torch.no_grad():
        if can_skip(optimizer):
            _begin_momentum(optimizer)
            optimizer.grad_scale, optimizer.found_inf = None, bad.float()
            try:
                return optimizer.step(**kwargs)
            finally:
                del optimizer.grad_scale, optimizer.found_inf
        tensors = _tensors(optimizer)
        copies = dict(zip(tensors, torch._foreach_mul(list(tensors.values()), 1))) if tensors else {}
        result = optimizer.step(**kwargs)
        for key, tensor in _tensors(optimizer).items():
            before = copies.get(key)  # there was none before the first step
            torch.where(bad > 0, torch.zeros_like(tensor) if before is None else before, tensor, out=tensor)
        return result


def _begin_momentum(optimizer: Optimizer) -> None:
    """Zeros as the first momentum, which torch's fused SGD leaves unset where it skips its first step."""
    if isinstance(optimizer, SGD):
        for group in optimizer.param_groups:
            for parameter in group['params'] if group['momentum'] and not group['dampening'] else ():
                if parameter.grad is not None and optimizer.state[parameter].get('momentum_buffer') is None:
                    optimizer.state[parameter]['momentum_buffer'] = torch.zeros_like(parameter)


def _tensors(optimizer: Optimizer) -> dict[Any, Tensor]:
    """Parameters with a gradient and the tensors of their state, by name and place."""
    found: dict[Any, Tensor] = {}
    for number, parameter in enumerate(p for group in optimizer.param_groups for p in group['params']):
        if parameter.grad is not None:
            found[number, ''] = parameter
            state = optimizer.state.get(parameter, {})
            found |= {(number, name): value for name, value in state.items() if isinstance(value, Tensor)}
    return found
