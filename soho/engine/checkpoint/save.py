"""Writing of checkpoints: a file is complete under its name, or as it was before.

torch writes a checksum (CRC-32) of every tensor and of the rest into the file, which
:func:`soho.engine.checkpoint.read.read_checkpoint` compares.
"""

import os
from typing import Any

import torch
from torch import Tensor

from soho.errors import TrainingError
from soho.files import atomic_write


def write_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike) -> None:
    """Write a checkpoint; ``path`` keeps its old contents until all of the new ones are on the disk.

    Args:
        checkpoint: Plain data, see :func:`soho.engine.checkpoint.plain.to_plain`.
        path: Path of the file.

    Raises:
        TrainingError: The system refuses it, for instance since the disk is full; nothing is left of the new file.
    """
    try:
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        # Where the file refuses bytes, torch complains about the position it has come to.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise TrainingError(
            f'the checkpoint {os.fspath(path)} could not be written ({cause.strerror or cause}): '
            'make room, and go on from the one before with --resume'
        ) from error


def nonfinite_tensors(state: Any, name: str = '') -> list[str]:
    """Names of the tensors in dicts and lists that hold an infinite value or one that is not a number.

    The host waits once for the device.

    Args:
        state: Dicts and lists of tensors and of anything else.
        name: Of ``state``; those of its entries follow after a dot.
    """
    named = [item for item in _named_tensors(state, name) if item[1].is_floating_point() and item[1].numel()]
    if not named:
        return []
    device = named[0][1].device
    finite = torch.stack([value.isfinite().all().to(device) for _, value in named]).tolist()
    return [name for (name, _), good in zip(named, finite) if not good]


def _named_tensors(value: Any, name: str) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(name, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    prefix = f'{name}.' if name else ''
    return [found for key, item in items for found in _named_tensors(item, f'{prefix}{key}')]
