"""Weights that follow from names and shapes, so that a fixture needs no checkpoint.

``numpy.random.RandomState`` is used because its stream never changes.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def fill(name: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """The values of the checkpoint entry ``name``.

    The last part of the name and the number of dimensions choose the rule:
    batch-norm statistics around (0, 1), usage counts of a dictionary from 1
    up, small biases, norm scales around 1, embedding tables with deviation
    0.5, and matrices scaled by the square root of their fan-in.

    Args:
        name: As in the official checkpoint; its CRC-32 starts the stream.
        shape: Of the entry.
        seed: Added to the CRC.

    Returns:
        float32, or int64 zeros for ``num_batches_tracked``.
    """
    shape = tuple(shape)
    stream = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    leaf = name.rpartition('.')[2]
    if leaf == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    if leaf == 'running_var':
        return _float32(stream.rand(*shape) + 0.5)
    normal = stream.randn(*shape)
    if leaf.startswith('cluster_'):
        return _float32(np.abs(normal) + 1.0)
    if leaf == 'running_mean' or len(shape) <= 1:
        return _float32(0.1 * normal + (1.0 if leaf == 'weight' and len(shape) <= 1 else 0.0))
    if 'emb' in name:
        return _float32(0.5 * normal)
    return _float32(normal / np.sqrt(np.prod(shape[1:])))


def _float32(value: np.ndarray) -> np.ndarray:
    return np.asarray(value, np.float32)


def fill_all(
    shapes: Iterable[tuple[str, Sequence[int]]], seed: int = 0, tied: Mapping[str, str] | None = None
) -> dict[str, Tensor]:
    """A state dict of filled entries; ``tied`` maps an alias to the entry whose values it shares."""
    tied = tied or {}
    return {name: torch.from_numpy(fill(tied.get(name, name), shape, seed)) for name, shape in shapes}
