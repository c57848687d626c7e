"""Single values of a checkpoint, held against what they have to be."""

import math
from typing import Any

import torch
from torch import Tensor

from soho.errors import clip


class InvalidValueError(ValueError):
    """What is wrong with a value and where, without the file's name."""


def require(fits: bool, message: str) -> None:
    """Refuse a value with a message that says what it is and where.

    Raises:
        InvalidValueError: It does not fit.
    """
    if not fits:
        raise InvalidValueError(message)


def show(value: Any) -> str:
    """Return a value for a message: as Python writes it, clipped, or of which type it is."""
    parts = value if isinstance(value, (list, tuple)) and len(value) < 5 else [value]
    # A tensor among them would be written on several lines.
    plain = all(isinstance(part, (str, int, float, type(None))) for part in parts)
    return f'{value!r:.60}' if plain else f'a {type(value).__name__}'


def join(where: str, key: Any) -> str:
    """Return the name of an entry in a message: that of its holder, a dot and its key, clipped."""
    return f'{where}.{clip(key)}'


def is_number(value: Any) -> bool:
    """Whether a value is a number of Python that a tensor of int64 or float32 can hold."""
    if type(value) is float:
        return abs(value) <= torch.finfo(torch.float32).max or not math.isfinite(value)
    return type(value) is int and abs(value) < 2**63


def is_dense(value: Tensor) -> bool:
    """Whether a tensor holds plain real numbers, one for each place."""
    return value.layout is torch.strided and not (value.is_quantized or value.is_meta or value.is_complex())
