"""Computation in float32 under any autocast type, as of losses, distances, boxes and probabilities."""

import torch
from torch import Tensor


def no_autocast(features: Tensor) -> torch.autocast:
    """Context in which float32 stays float32 under any autocast type."""
    return torch.autocast(features.device.type, enabled=False)


def upcast(values: Tensor) -> Tensor:
    """Return ``values`` in float32 if they are in half precision; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
