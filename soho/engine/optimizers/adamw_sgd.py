"""AdamW for the transformer with SGD for the CNN, in one optimizer.

Official file: SOHO/optimizers/AdamwSGD.py. All tensors of a group are updated
together by torch's fused kernels, which pass over memory once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from soho.engine.sharding import local_parts
from soho.errors import UserError
from soho.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class AdamWSGD(Optimizer):
    """One optimizer, two rules; each parameter group names its own by ``opt``.

    AdamW here is the original BERT form that the official code uses: ``eps``
    is added to the root of the *uncorrected* second moment, and decay comes
    after the update, on every parameter, biases and norms included.

    A parameter without a gradient is left alone entirely, decay and momentum
    included. With ``found_inf`` (a () float32 tensor) set, as torch's fused optimizers have it,
    a step at 1 changes no tensor, without a wait of the host, which counts it all the same.

    Args:
        params: Parameters or groups; a group with ``opt='sgd'`` is updated by
            SGD, any other by AdamW.
        lr: Learning rate.
        betas, eps, adamw_weight_decay, correct_bias: AdamW.
        momentum, dampening, sgd_weight_decay, nesterov: SGD.

    Raises:
        UserError: A negative rate, decay or momentum; an unknown ``opt``.
    """

    rules = ('adamw', 'sgd')
    found_inf: Tensor | None = None
    skips_on_device = True

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        adamw_weight_decay: float = 0.0,
        correct_bias: bool = True,
        momentum: float = 0.0,
        dampening: float = 0.0,
        sgd_weight_decay: float = 0.0,
        nesterov: bool = False,
        **kwargs,
    ) -> None:
        for name, value in dict(
            lr=lr, eps=eps, adamw_weight_decay=adamw_weight_decay, momentum=momentum, sgd_weight_decay=sgd_weight_decay
        ).items():
            if value < 0:
                raise UserError(f'{type(self).__name__}: {name} is {value}; it cannot be negative')
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                adamw_weight_decay=adamw_weight_decay,
                correct_bias=correct_bias,
                momentum=momentum,
                dampening=dampening,
                sgd_weight_decay=sgd_weight_decay,
                nesterov=nesterov,
                opt='adamw',
                **kwargs,
            ),
        )

    def add_param_group(self, param_group: dict) -> None:
        super().add_param_group(param_group)
        opt = self.param_groups[-1]['opt']
        if opt not in self.rules:
            raise UserError(f"{type(self).__name__} has no rule {opt!r}; a group's opt is one of {self.rules}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            if params:
                getattr(self, f'_{group["opt"]}')(group, params, [p.grad for p in params])
        return loss

    def _adamw(self, group: dict, params: list[Tensor], grads: list[Tensor]) -> None:
        beta1, beta2 = group['betas']
        alike: dict[tuple, list[tuple[Tensor, Tensor, dict]]] = defaultdict(list)
        for p, grad in zip(params, grads):
            state = self.state[p]
            if not state:
                state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
            state['step'] += 1
            alike[state['step'], p.dtype, p.device].append((p, grad, state))
        for (step, _, device), members in alike.items():
            # torch adds eps to the corrected root: sqrt(v) / c + eps / c is (sqrt(v) + eps) / c.
            correction = (1 - beta2**step) ** 0.5 if group['correct_bias'] else 1.0
            # The kernel for GPUs takes the counter for a float32 without looking.
            steps = torch.full((), float(step) if group['correct_bias'] else torch.inf, device=device)
            some, their_grads, states = map(list, zip(*members))
            torch._fused_adamw_(
                some,
                their_grads,
                [s['exp_avg'] for s in states],
                [s['exp_avg_sq'] for s in states],
                [],
                [steps] * len(some),
                lr=group['lr'],
                beta1=beta1,
                beta2=beta2,
                weight_decay=0.0,
                eps=group['eps'] / correction,
                amsgrad=False,
                maximize=False,
                found_inf=self.found_inf,
            )
        if group['adamw_weight_decay']:
            # Not p *= 1 - lr * decay: float32 rounds that factor by a few percent of lr * decay.
            _add_unless(self.found_inf, params, -group['lr'] * group['adamw_weight_decay'])

    def _sgd(self, group: dict, params: list[Tensor], grads: list[Tensor]) -> None:
        alike: dict[tuple, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, grad in zip(params, grads):
            alike[p.dtype, p.device, 'momentum_buffer' not in self.state[p]].append((p, grad))
        for (_, _, first), members in alike.items():
            some, their_grads = map(list, zip(*members))
            if first and group['momentum']:
                for p in some:
                    self.state[p]['momentum_buffer'] = torch.zeros_like(p)
            buffers = [self.state[p]['momentum_buffer'] for p in some] if group['momentum'] else []
            torch._fused_sgd_(
                local_parts(some),
                local_parts(their_grads),
                local_parts(buffers),
                weight_decay=group['sgd_weight_decay'],
                momentum=group['momentum'],
                lr=group['lr'],
                dampening=group['dampening'],
                nesterov=group['nesterov'],
                maximize=False,
                is_first_step=first,
                found_inf=self.found_inf,
            )


def _add_unless(bad: Tensor | None, params: list[Tensor], alpha: float) -> None:
    """Add ``alpha`` times themselves to parameters, but nothing where ``bad`` () is 1."""
    params = local_parts(params)
    if bad is None:
        torch._foreach_add_(params, params, alpha=alpha)
    elif all(p.device.type == 'cpu' and p.dtype is torch.float32 for p in params):
        # One pass over memory instead of three, and the same numbers; the kernel for GPUs rounds otherwise.
        torch._fused_sgd_(
            params,
            params,
            [],
            weight_decay=0.0,
            momentum=0.0,
            lr=-alpha,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
            found_inf=bad,
        )
    else:
        torch._foreach_add_(params, torch._foreach_mul(params, 1 - bad), alpha=alpha)
