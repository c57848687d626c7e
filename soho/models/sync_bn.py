"""Synchronised batch-norm that also trains on CPU.

torch's ``SyncBatchNorm`` trains on accelerators only, and
``DistributedDataParallel`` refuses it on a CPU. Here the same sums are
exchanged by a differentiable ``all_reduce``, so that two processes under
gloo compute the same as one.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from soho.errors import UserError
from soho.registry import MODELS


@MODELS.register_module(name='SyncBN')
class SyncBatchNorm(_BatchNorm):
    """Batch-norm with the statistics of all ranks in training; ordinary batch-norm in a single process."""

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f'SyncBatchNorm takes (B, C, ...), not a tensor of {x.dim()} dimensions')

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        if self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return self._forward_synced(x)
        return super().forward(x)

    def _forward_synced(self, x: Tensor) -> Tensor:
        dims = [d for d in range(x.dim()) if d != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        values = x.float()
        local = torch.cat([values.sum(dims), values.new_tensor([x.numel() / x.size(1)])])
        total = all_reduce(local)
        count = total[-1].detach()
        mean = total[:-1] / count
        centered = values - mean.view(shape)
        var = all_reduce(centered.square().sum(dims)) / count
        if self.track_running_stats:
            with torch.no_grad():
                mean_buffer, var_buffer, steps = self.running_mean, self.running_var, self.num_batches_tracked
                assert mean_buffer is not None and var_buffer is not None and steps is not None  # since it tracks
                steps += 1
                factor = self.momentum if self.momentum is not None else 1 / float(steps)
                mean_buffer.lerp_(mean, factor)
                var_buffer.lerp_(var * count / (count - 1), factor)
        out = centered * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)


def synchronize_parts(model: nn.Module, parts: bool | Sequence[str]) -> nn.Module:
    """Synchronise the batch-norms of some parts of a model, by :func:`convert_sync_batchnorm`.

    Args:
        model: The model; changed in place.
        parts: Names of its parts, such as ``'neck'``; ``True`` for all of the model, ``False`` for nothing.

    Returns:
        The model, or its replacement where it is a batch-norm itself.

    Raises:
        UserError: The model has no such part.
    """
    if isinstance(parts, bool):
        return convert_sync_batchnorm(model) if parts else model
    children = dict(model.named_children())
    for name in parts:
        if name not in children:
            raise UserError(f'sync_bn of the config names {name!r}; the parts of the model are {", ".join(children)}')
        setattr(model, name, convert_sync_batchnorm(children[name]))
    return model


def convert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every batch-norm below ``module`` by a synchronised one that keeps weights, buffers and mode.

    On an accelerator this is torch's fused layer. The activation inside timm's
    batch-norms is kept.
    """
    target = nn.SyncBatchNorm if torch.accelerator.is_available() else SyncBatchNorm
    if isinstance(module, _BatchNorm) and not isinstance(module, target):
        synced = target(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
        if module.affine:
            synced.weight, synced.bias = module.weight, module.bias
        synced.running_mean, synced.running_var = module.running_mean, module.running_var
        synced.num_batches_tracked = module.num_batches_tracked
        synced.training = module.training
        if hasattr(module, 'act'):
            synced.drop, synced.act = module.drop, module.act
            synced.register_forward_hook(_activate)
        return synced
    for name, child in module.named_children():
        converted = convert_sync_batchnorm(child)
        if converted is not child:
            setattr(module, name, converted)
    return module


def _activate(norm, _: tuple, output: Tensor) -> Tensor:
    return norm.act(norm.drop(output))
