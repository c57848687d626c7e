"""Lookahead around any optimizer: k steps forward, one step back. Paper: arXiv:1907.08610."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from soho.engine.optimizers.skipping import step_unless
from soho.engine.sharding import local_parts, shard_like
from soho.errors import UserError
from soho.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class Lookahead(Optimizer):
    """After every ``k`` steps of the inner optimizer the weights go back towards where they were.

    ``slow += alpha * (weights - slow)``, then the weights are set to ``slow``;
    the inner optimizer's state is left alone. Slow weights start as the weights
    before the first step.

    Slow weights and the number of steps since they moved are saved, so that a
    resumed run goes on exactly. The official VirTex forgets both: the state
    of an inner optimizer alone loads as well, and slow weights then start anew.

    A step that is skipped since ``found_inf`` is 1 counts among the ``k``.

    Args:
        params: Parameters or groups.
        optimizer: Registered name of the inner optimizer.
        k: Steps between.
        alpha: How far slow weights move, in (0, 1].
        **options: Of the inner optimizer; ``lr`` and the like stand beside
            ``type``, where parameter groups multiply them.

    Raises:
        ValueError: ``k`` below 1 or ``alpha`` out of range.
    """

    skips_on_device = True

    def __init__(self, params: Iterable, optimizer: str = 'SGD', k: int = 5, alpha: float = 0.5, **options) -> None:
        if k < 1 or not 0 < alpha <= 1:
            raise UserError(f'Lookahead: k is {k} and alpha {alpha}; k is at least 1 and alpha in (0, 1]')
        inner = OPTIMIZERS.get(optimizer)
        if inner is None:
            raise UserError(f'Lookahead: there is no optimizer {optimizer!r}')
        self.inner: Optimizer = inner(params, **options)
        super().__init__(self.inner.param_groups, self.inner.defaults)
        self._share()
        self.k = k
        self.alpha = alpha
        self.slow: list[Tensor] | None = None
        self.steps = 0  # since slow weights moved

    def _share(self) -> None:
        """One set of groups and one state, for schedules and gradient scalers that look here."""
        self.param_groups, self.state = self.inner.param_groups, self.inner.state

    def _weights(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group['params']]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the inner optimizer and, every ``k``, the step back."""
        if self.slow is None:
            self.slow = [param.clone() for param in self._weights()]
        if hasattr(self, 'found_inf'):
            loss = step_unless(self.found_inf, self.inner)
        else:
            loss = self.inner.step() if closure is None else self.inner.step(closure)
        self.steps += 1
        if self.steps == self.k:
            self.steps = 0
            slow, weights = local_parts(self.slow), local_parts(self._weights())
            torch._foreach_lerp_(slow, weights, self.alpha)
            torch._foreach_copy_(weights, slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The inner optimizer's state and, under ``lookahead``, slow weights in the order of the groups."""
        return dict(self.inner.state_dict(), lookahead=dict(slow=self.slow, steps=self.steps))

    def check_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse slow weights that are not of these parameters.

        Raises:
            ValueError: What is wrong.
        """
        own = state_dict.get('lookahead', dict(slow=None, steps=0))
        if not isinstance(own, dict) or type(own.get('steps')) is not int or not 0 <= own['steps'] < self.k:
            raise ValueError(f'lookahead.steps is no number of steps below {self.k}')
        slow, weights = own.get('slow'), self._weights()
        if slow is not None and not (
            isinstance(slow, list)
            and len(slow) == len(weights)
            and all(isinstance(value, Tensor) and value.layout is torch.strided for value in slow)
            and all(value.shape == param.shape for value, param in zip(slow, weights))
        ):
            raise ValueError('lookahead.slow does not hold one tensor of its shape for each parameter')

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        own = state.pop('lookahead', dict(slow=None, steps=0))
        self.inner.load_state_dict(state)
        self._share()
        self.steps = own['steps']
        self.slow = own['slow'] and [
            shard_like(value, param).to(param.device, param.dtype, copy=True)
            for value, param in zip(own['slow'], self._weights())
        ]
