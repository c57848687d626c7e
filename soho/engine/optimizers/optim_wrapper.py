"""Updates: those of gradients that are no numbers are skipped, on the device; mixed precision works on any."""

import math
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from torch import Tensor, nn

from soho.engine.dtypes import HALF_DTYPES
from soho.engine.optimizers.skipping import step_unless
from soho.engine.sharding import full_tensor, is_sharded, local_part, shard_like
from soho.errors import UserError
from soho.platform import is_emulated
from soho.registry import OPTIM_WRAPPERS

NOT_FINITE = ('nan', 'inf')
"""What :meth:`OptimWrapper.find_faults` finds in gradients."""


@OPTIM_WRAPPERS.register_module(force=True)
class OptimWrapper(MMEngineOptimWrapper):
    """mmengine's wrapper, which does not wait for the norm of the gradients, and skips updates that would do harm.

    Where the loss or the norm is infinite or not a number, on any rank, the device leaves weights and the optimizer's
    tensors as they are. :class:`soho.engine.hooks.RuntimeInfoHook` reads the norm when it reads the losses, and
    :class:`soho.engine.hooks.FiniteLossHook` what was skipped.
    """

    _grad_norm: Tensor | None = None
    _bad_loss: Tensor | None = None  # () bool: of the losses whose gradients are being accumulated, one is no number
    _skipped: Tensor | None = None  # () bool, of the last update
    _accumulated: int | None = None  # iterations of the next update that a resumed run had done

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        bad = loss.detach().isfinite().all().logical_not()
        self._bad_loss = bad if self._bad_loss is None else self._bad_loss | bad
        super().update_params(loss, step_kwargs, zero_kwargs)

    def step(self, **kwargs) -> None:
        clips = bool(self.clip_grad_kwargs)
        norm = None if clips and self.grad_name == 'grad_norm' else self._norm()
        if clips:
            self._clip_grad()
        bad = self._is_bad(self._grad_norm if norm is None else norm)
        self._skipped = bad
        step_unless(bad, self.optimizer, **kwargs)

    def _norm(self) -> Tensor | None:
        grads = [p.grad for p in self._parameters() if p.grad is not None]
        return full_tensor(torch.nn.utils.get_total_norm(grads)) if grads else None

    def _is_bad(self, norm: Tensor | None) -> Tensor | None:
        """() bool on the device, equal on all ranks: whether an update with gradients of this norm would do harm."""
        bad, self._bad_loss = self._bad_loss, None
        if norm is not None:  # of all ranks together
            bad = norm.isfinite().logical_not() if bad is None else bad | norm.isfinite().logical_not()
        if bad is not None and get_world_size() > 1:
            anywhere = bad.float()
            all_reduce(anywhere, 'max')
            bad = anywhere > 0
        return bad

    def take_skipped(self) -> Tensor | None:
        """() bool: whether the last update was skipped, once for every update; ``None`` between updates."""
        skipped, self._skipped = self._skipped, None
        return skipped

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group['params']]

    def accumulated_gradients(self) -> list[Tensor | None] | None:
        """Gradients of this rank that wait for an update, in the order of the groups; ``None`` just after one."""
        if self.should_update():
            return None
        return [p.grad for p in self._parameters()]

    def find_faults(self) -> tuple[bool, str | None]:
        """What will make the next update be skipped, on this rank; the host waits for the device.

        Returns:
            Whether a loss was no number, and what accumulated gradients hold that is none: ``'nan'``, ``'inf'`` or
            ``None``.
        """
        gradients = [local_part(p.grad) for p in self._parameters() if p.grad is not None]
        nothing = torch.zeros((), dtype=torch.bool, device=self._parameters()[0].device)
        flags = [nothing if self._bad_loss is None else self._bad_loss.to(nothing.device)]
        for find in (torch.isnan, torch.isinf):
            found = [find(gradient).any().to(nothing.device) for gradient in gradients]
            flags.append(torch.stack([nothing, *found]).any())
        bad_loss, *kinds = torch.stack(flags).tolist()
        return bad_loss, next((kind for kind, found in zip(NOT_FINITE, kinds) if found), None)

    def set_faults(self, bad_loss: bool, kind: str | None) -> None:
        """Skip the next update for what :meth:`find_faults` found, whose gradients no checkpoint holds."""
        if bad_loss:
            self._bad_loss = torch.ones((), dtype=torch.bool, device=self._parameters()[0].device)
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        if kind is not None and gradients:
            local_part(min(gradients, key=Tensor.numel)).fill_(float(kind))

    def set_accumulation_count(self, count: int) -> None:
        """Go on after so many of the iterations of an update; those of the next begin with the one after."""
        self._accumulated = count

    def set_accumulated_gradients(self, gradients: list[Tensor | None]) -> None:
        """Go on from what :meth:`accumulated_gradients` gave."""
        for parameter, gradient in zip(self._parameters(), gradients):
            if gradient is not None:
                gradient = shard_like(gradient, parameter).to(parameter.device, parameter.dtype, copy=True)
            parameter.grad = gradient

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As mmengine; full tensors are sharded where the parameters are."""
        parameters = self._parameters()
        if any(map(is_sharded, parameters)):
            ids = [number for group in state_dict['param_groups'] for number in group['params']]
            parameter = dict(zip(ids, parameters))
            state = {
                number: {
                    name: shard_like(value, parameter[number])
                    if isinstance(value, Tensor) and value.shape == parameter[number].shape
                    else value
                    for name, value in entry.items()
                }
                for number, entry in state_dict['state'].items()
            }
            state_dict = dict(state_dict, state=state)
        super().load_state_dict(state_dict)

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """As mmengine, which says of every start between two updates that gradients are lost.

        It also takes it that the run has always accumulated as many gradients as now; here a resumed run counts from
        the last update on.
        """
        accumulated, every = self._accumulated, self._accumulative_counts
        shift = 0 if accumulated is None else (init_counts - accumulated) % every
        init_counts, max_counts = init_counts - shift, max_counts - shift
        super().initialize_count_status(model, init_counts - init_counts % every, max_counts)
        self._inner_count = init_counts

    def _clip_grad(self) -> None:
        params = [p for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        if params:
            norm = self.clip_func(params, **(self.clip_grad_kwargs or {}))
            self._grad_norm = None if norm is None else full_tensor(norm)

    def take_grad_norm(self) -> dict[str, Tensor]:
        """The norm before clipping under its name, once for every update; nothing between updates."""
        norm, self._grad_norm = self._grad_norm, None
        return {} if norm is None else {self.grad_name: norm}


class BoundedGradScaler(torch.amp.GradScaler):
    """torch's scaler with an upper bound on the scale, as apex has (``max_loss_scale``).

    Args:
        device: Type of the device.
        max_scale: The bound.
        **kwargs: See ``torch.amp.GradScaler``.
    """

    def __init__(self, device: str, max_scale: float = math.inf, init_scale: float = 65536.0, **kwargs) -> None:
        super().__init__(device, init_scale=min(init_scale, max_scale), **kwargs)
        self.max_scale = max_scale

    def update(self, new_scale: float | Tensor | None = None) -> None:
        super().update(new_scale)
        if self.is_enabled() and self.max_scale < math.inf:
            assert self._scale is not None  # an enabled scaler has one after its first update
            self._scale.clamp_(max=self.max_scale)


@OPTIM_WRAPPERS.register_module(force=True)
class AmpOptimWrapper(OptimWrapper, MMEngineAmpOptimWrapper):
    """mmengine's wrapper, without its demand for a GPU.

    bfloat16 has the range of float32 and needs no loss scaling; float16 does,
    and an update then waits for the device once, to know whether to skip it.

    A processor without instructions for bfloat16 would take ten times as long as in float32, and so gets float32.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'``; by default float16 on a GPU
            and bfloat16 on a CPU, which has no fast float16.
        loss_scale: ``'dynamic'``, a fixed scale, or arguments of
            ``torch.amp.GradScaler`` and ``max_scale``, a bound on the dynamic scale; for float16.
        **kwargs: See ``mmengine.optim.OptimWrapper``.

    Raises:
        UserError: For another dtype or scale.
    """

    def __init__(
        self, dtype: str | None = None, loss_scale: str | float | dict[str, float] = 'dynamic', **kwargs
    ) -> None:
        OptimWrapper.__init__(self, **kwargs)
        self.device_type = get_device().split(':')[0]
        dtype = dtype or ('bfloat16' if self.device_type == 'cpu' else 'float16')
        if dtype not in HALF_DTYPES:
            raise UserError(f'dtype is {dtype!r}; mixed precision takes one of {sorted(HALF_DTYPES)}')
        self.cast_dtype = HALF_DTYPES[dtype]
        self.casts = not is_emulated(self.cast_dtype, self.device_type)
        if not self.casts:
            print_log('this processor has no instructions for bfloat16: training in float32', 'current')
        if loss_scale != 'dynamic' and not isinstance(loss_scale, (int, float, dict)):
            raise UserError(f"loss_scale is {loss_scale!r}; it is 'dynamic', a number, or arguments of GradScaler")
        self._scale_update_param = float(loss_scale) if isinstance(loss_scale, (int, float)) else None
        options: dict[str, Any] = {}
        if isinstance(loss_scale, dict):
            options.update(loss_scale)
        elif loss_scale != 'dynamic':
            options.update(init_scale=float(loss_scale))
        self.loss_scaler = BoundedGradScaler(self.device_type, enabled=self.cast_dtype is torch.float16, **options)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Also of a run without loss scaling, which has no state of a scaler."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != 'loss_scaler' or value})

    def step(self, **kwargs) -> None:
        """Scaled gradients may overflow, which lowers the scale; only what is left at a scale of 1 does harm."""
        if not self.loss_scaler.is_enabled():
            OptimWrapper.step(self, **kwargs)
            return
        scale, bad = self.loss_scaler._scale, self._is_bad(None)
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        if bad is not None and gradients:  # the scaler looks at gradients alone
            local_part(min(gradients, key=Tensor.numel)).masked_fill_(bad, math.nan)
        MMEngineAmpOptimWrapper.step(self, **kwargs)
        if scale is not None and self._grad_norm is not None:
            overflow = self._grad_norm.isfinite().logical_not() & (scale <= 1)
            bad = overflow if bad is None else bad | overflow
        self._skipped = bad

    @contextmanager
    def optim_context(self, model: nn.Module) -> Generator[None, None, None]:
        casting = torch.autocast(self.device_type, self.cast_dtype) if self.casts else nullcontext()
        with OptimWrapper.optim_context(self, model), casting:
            yield
