"""Scaled dot-product attention by the fastest implementation for the device."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> Tensor:
    """Scaled dot-product attention: torch's fused one on a GPU, plain matrix products on a CPU.

    Args:
        queries: (R, H, L, d).
        keys: (R, H, T, d).
        values: (R, H, T, d).
        mask: Broadcast to (R, H, L, T): bool, true where a query attends, or a float that is added to the scores.
        dropout: Dropout rate of the attention weights.
        scaling: Factor of the scores, 1 / sqrt(d) by default.

    Returns:
        (R, H, L, d).
    """
    if queries.device.type != 'cpu':
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout, scale=scaling)
    # torch 2.15's fused attention takes three to five times as long here, most of it in backward.
    scores = (queries @ keys.transpose(-2, -1)).mul_(queries.size(-1) ** -0.5 if scaling is None else scaling)
    if mask is not None:
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill_(~mask, lowest) if mask.dtype == torch.bool else scores.add_(mask)
    return F.dropout(scores.softmax(-1), dropout, dropout > 0) @ values


def _for_transformers(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_,
) -> tuple[Tensor, None]:
    return attend(query, key, value, mask, dropout, scaling).transpose(1, 2), None


BY_DEVICE = 'by_device'
"""Name of :func:`attend` among transformers' attention implementations."""
ALL_ATTENTION_FUNCTIONS.register(BY_DEVICE, _for_transformers)
