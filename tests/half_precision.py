"""Convolutions for runs in float16 on a CPU, where torch's backward pass of one takes a hundred times as long."""

from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from soho.platform import is_emulated


def use_fast_convolutions(model: nn.Module) -> nn.Module:
    """Let the convolutions of a model compute in bfloat16, or in float32, where float16 is asked of a CPU.

    Their outputs and the gradients that they receive are float16, so that everything else is as on a GPU.

    Args:
        model: Changed in place.
    """
    for module in model.modules():
        if isinstance(module, _ConvNd):
            module.forward = MethodType(_convolve, module)
    return model


def _convolve(conv: _ConvNd, x: Tensor) -> Tensor:
    if x.device.type != 'cpu' or not torch.is_autocast_enabled('cpu'):
        return type(conv).forward(conv, x)
    dtype = torch.get_autocast_dtype('cpu')
    emulated = is_emulated(torch.bfloat16, 'cpu')
    with torch.autocast('cpu', torch.bfloat16, enabled=not emulated):
        return type(conv).forward(conv, x.float() if emulated else x).to(dtype)
