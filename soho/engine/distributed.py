"""Several processes of one training."""

from datetime import timedelta

import torch
import torch.distributed
from mmengine.dist import get_rank, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from soho.errors import UserError


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, out of ``DistributedDataParallel`` or another wrapper."""
    return model.get_submodule('module') if is_model_wrapper(model) else model


def gather_tensors(tensors: list[Tensor | None]) -> list[list[Tensor | None]]:
    """The tensors of every rank on the host of rank 0, one after the other; other ranks get empty lists.

    Args:
        tensors: As many on every rank, of the same shapes; ``None`` where all ranks have none.
    """
    world_size = get_world_size()
    gathered: list[list[Tensor | None]] = [[] for _ in range(world_size)]
    for tensor in tensors:
        parts: list[Tensor | None] = [tensor] * world_size
        if tensor is not None and world_size > 1:
            tensor = tensor.contiguous()
            parts = [torch.empty_like(tensor) for _ in range(world_size)]
            torch.distributed.gather(tensor, parts if get_rank() == 0 else None)
        if get_rank() == 0:
            for of_rank, part in zip(gathered, parts):
                of_rank.append(None if part is None else part.cpu())
    return gathered


def init_gloo(launcher: str, timeout: float | None = None) -> None:
    """Start the process group where there is no GPU; mmengine starts one on GPUs only.

    Args:
        launcher: What started the processes.
        timeout: Seconds that an exchange may take, ``env_cfg.dist_cfg.timeout``; by default torch's 30 minutes.

    Raises:
        UserError: It is not torchrun.
    """
    if torch.cuda.is_available() or torch.distributed.is_initialized():
        return
    if launcher != 'pytorch':
        raise UserError(f'launcher {launcher!r} needs GPUs; without one use torchrun (--launcher pytorch)')
    limit = None if timeout is None else timedelta(seconds=timeout)
    torch.distributed.init_process_group('gloo', timeout=limit)
