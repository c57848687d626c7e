"""Tensors that are divided among ranks (torch's ``DTensor``), each rank holding some rows.

Needs torch only. What is not divided goes through all functions as it is.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_divided(value: Any) -> bool:
    """Whether a value is a tensor of which this rank holds a part."""
    return isinstance(value, DTensor)


def divide_like(value: Tensor, reference: Tensor) -> Tensor:
    """A tensor divided as another one of its shape, on whose device it then is.

    Args:
        value: The same on every rank; or divided already.
        reference: Where it is not divided, ``value`` is returned whole.
    """
    if not isinstance(reference, DTensor):
        return whole(value)
    if isinstance(value, DTensor):
        return value
    # Every rank has the whole, so that none has to send anything.
    return distribute_tensor(value, reference.device_mesh, reference.placements, src_data_rank=None)


def whole(value: Tensor) -> Tensor:
    """The whole of a tensor, for which all ranks have to ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def local_part(value: Tensor) -> Tensor:
    """What this rank holds of a tensor, in the same memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def local_parts(values: Iterable[Tensor]) -> list[Tensor]:
    """:func:`local_part` of each: for what torch computes element by element and has no rule for divided tensors."""
    return [local_part(value) for value in values]
