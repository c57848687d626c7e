"""Tensors that are sharded among ranks (torch's ``DTensor``), each rank holding some rows.

Needs torch only. What is not sharded goes through all functions as it is.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(value: Any) -> bool:
    """Whether a value is a tensor of which this rank holds a part."""
    return isinstance(value, DTensor)


def shard_like(value: Tensor, reference: Tensor) -> Tensor:
    """A tensor sharded as another one of its shape, on whose device it then is.

    Args:
        value: The same on every rank; or sharded already.
        reference: Where it is not sharded, ``value`` is returned in full.
    """
    if not isinstance(reference, DTensor):
        return full_tensor(value)
    if isinstance(value, DTensor):
        return value
    # Every rank has the full tensor, so that none has to send anything.
    return distribute_tensor(value, reference.device_mesh, reference.placements, src_data_rank=None)


def full_tensor(value: Tensor) -> Tensor:
    """The full tensor, for which all ranks have to ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def local_part(value: Tensor) -> Tensor:
    """What this rank holds of a tensor, in the same memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def local_parts(values: Iterable[Tensor]) -> list[Tensor]:
    """:func:`local_part` of each: for what torch computes element by element and has no rule for sharded tensors."""
    return [local_part(value) for value in values]
