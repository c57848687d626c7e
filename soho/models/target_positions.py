"""Positions of a batch's targets, computed while it is still on the host.

The number of labelled positions determines tensor shapes. Computed on a GPU,
it makes the host wait for all queued work in the middle of every step;
computed before the batch is moved, it is free.
"""

from torch import Tensor

from soho.datasets.batch import FIELDS, Batch


def cache_target_positions(batch: Batch) -> Batch:
    """Return the batch with the positions of all its targets added as ``<field>_positions``."""
    fields = [name for name in batch if name in FIELDS and FIELDS[name].is_target]
    return dict(batch, **{f'{name}_positions': _find(batch, name) for name in fields})


def target_positions(batch: Batch, name: str) -> Tensor:
    """Positions of the targets in ``batch[name]``, as indices into the flattened array.

    Args:
        batch: The batch; positions that the preprocessor has not cached are computed here.
        name: A field with targets, see :data:`soho.datasets.batch.FIELDS`. For caption tokens the
            array is ``tokens[..., 1:]``, the tokens that are predicted.

    Returns:
        (P,) int64, ascending.
    """
    cached = f'{name}_positions'
    return batch[cached] if cached in batch else _find(batch, name)


def _find(batch: Batch, name: str) -> Tensor:
    is_target = FIELDS[name].is_target
    assert is_target is not None, f'{name} has no targets'
    return is_target(batch[name]).flatten().nonzero().squeeze(1)
