"""Several processes of one training."""

from datetime import timedelta

import torch
import torch.distributed
from mmengine.model import is_model_wrapper
from torch import nn

from soho.errors import UserError


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, out of ``DistributedDataParallel`` or another wrapper."""
    return model.get_submodule('module') if is_model_wrapper(model) else model


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
