"""Where a batch asks for something, looked up while it is still on the host.

How many positions carry a label decides how large a tensor becomes. Asked on
a GPU, that question makes the host wait for all work in flight, in the middle
of every step; asked of the batch before it moves, it is free.
"""

from torch import Tensor

Batch = dict[str, Tensor]

# Which entries of an array are labels; see soho.datasets.collate.
_RULES = dict(
    mlm_labels=lambda labels: labels >= 0,
    mvm_sentences=lambda rows: rows,
    masked_labels=lambda labels: labels != 0,
    caption_tokens=lambda tokens: tokens[..., 1:] != 0,  # [SOS] is no target
    noitpac_tokens=lambda tokens: tokens[..., 1:] != 0,
)


def cache_target_positions(batch: Batch) -> Batch:
    """The batch with what :func:`asked` will look for, under ``asked_<key>``."""
    return dict(batch, **{f'{key}_positions': _find(batch, key) for key in _RULES if key in batch})


def target_positions(batch: Batch, key: str) -> Tensor:
    """Where ``batch[key]`` asks for something, as indices into the flattened array.

    Args:
        batch: Preprocessed; one that has not been through the preprocessor is searched here.
        key: ``'mlm_labels'``, ``'mvm_sentences'``, ``'masked_labels'``; for ``'caption_tokens'`` and
            ``'noitpac_tokens'`` the array is ``tokens[..., 1:]``, the targets.

    Returns:
        (M,) int64, ascending.
    """
    return batch[f'{key}_positions'] if f'{key}_positions' in batch else _find(batch, key)


def _find(batch: Batch, key: str) -> Tensor:
    return _RULES[key](batch[key]).flatten().nonzero().squeeze(1)
