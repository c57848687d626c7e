"""A run's state as plain data: dicts, lists, tensors and numbers, which any safe loader reads."""

from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor


def to_plain(value: Any) -> Any:
    """Histories and numpy values as dicts, tensors and numbers, which any safe loader reads."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return dict(
            history=torch.as_tensor(history),
            counts=torch.as_tensor(counts),
            max_length=value.max_length,
            is_history_buffer=True,
        )
    if isinstance(value, dict):
        # Counter(pairs) would count the pairs, so a dict subclass cannot simply be called with them.
        copy = value.copy()
        copy.update({k: to_plain(v) for k, v in value.items()})
        return copy
    if isinstance(value, (list, tuple)):
        return type(value)(to_plain(v) for v in value)
    if hasattr(value, 'dtype') and not isinstance(value, Tensor):
        return value.item() if value.ndim == 0 else torch.as_tensor(value)
    return value


def from_plain(value: Any) -> Any:
    """Undo :func:`to_plain`."""
    if isinstance(value, dict):
        if value.get('is_history_buffer'):
            return HistoryBuffer(value['history'].cpu().numpy(), value['counts'].cpu().numpy(), value['max_length'])
        for key, item in value.items():
            value[key] = from_plain(item)
    return value
