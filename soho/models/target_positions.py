"""Where a batch has targets, looked up while it is still on the host.

How many positions carry a label decides how large a tensor becomes. Asked on
a GPU, that question makes the host wait for all work in flight, in the middle
of every step; asked of the batch before it moves, it is free.
"""

from torch import Tensor

from soho.datasets.batch import FIELDS, Batch


def cache_target_positions(batch: Batch) -> Batch:
    """The batch with the positions of all its targets, under ``<field>_positions``."""
    fields = [name for name in batch if name in FIELDS and FIELDS[name].is_target]
    return dict(batch, **{f'{name}_positions': _find(batch, name) for name in fields})


def target_positions(batch: Batch, name: str) -> Tensor:
    """Positions of the targets in ``batch[name]``, as indices into the flattened array.

    Args:
        batch: Preprocessed; one that has not been through the preprocessor is searched here.
        name: A field with targets, see :data:`soho.datasets.batch.FIELDS`. For caption tokens the
            array is ``tokens[..., 1:]``, the tokens that are predicted.

    Returns:
        (M,) int64, ascending.
    """
    cached = f'{name}_positions'
    return batch[cached] if cached in batch else _find(batch, name)


def _find(batch: Batch, name: str) -> Tensor:
    return FIELDS[name].is_target(batch[name]).flatten().nonzero().squeeze(1)
