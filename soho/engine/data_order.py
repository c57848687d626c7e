"""What the order of the samples in an epoch follows from, as plain data that a checkpoint holds.

A run that goes on within an epoch leaves out what was trained on. That is right only where the order is the same.
"""

import os
from typing import Any
from zlib import crc32

import numpy as np
from torch.utils.data import DataLoader

from soho.datasets.storage.checksums import stamp_file

# Of samplers: what differs between ranks or epochs, or with the size of a batch, and what is no setting.
OTHER = {'batch_size', 'epoch', 'num_replicas', 'num_samples', 'rank', 'seed', 'size', 'total_size', 'world_size'}


def describe_order(loader: DataLoader, seed: int | None) -> dict[str, Any]:
    """Return what decides the order of a loader's samples, but for the sizes of batches and the number of ranks.

    Args:
        loader: The loader.
        seed: Of the run; a sampler that draws from it is described without a seed.
    """
    parts = dict(sampler=loader.sampler, batch_sampler=loader.batch_sampler)
    grouped = getattr(loader.batch_sampler, 'sampler', None)
    if grouped is not None:
        parts['sampler'] = grouped
    described = {name: _describe_sampler(part, seed) for name, part in parts.items() if part is not None}
    return dict(described, dataset=_describe_data(loader.dataset))


def _describe_sampler(sampler: Any, seed: int | None) -> dict[str, Any]:
    settings: dict[str, Any] = dict(type=type(sampler).__name__)
    for name, value in vars(sampler).items():
        if isinstance(value, np.ndarray):  # such as the shape of each image
            settings[name.lstrip('_')] = _checksum(value)
        elif name not in OTHER and not name.startswith('_') and isinstance(value, (bool, int, float, str)):
            settings[name] = value
    own = getattr(sampler, 'seed', None)
    if isinstance(own, int) and own != seed:
        settings['seed'] = own
    return settings


def _describe_data(dataset: Any) -> Any:
    parts = getattr(dataset, 'datasets', None)
    if isinstance(parts, (list, tuple)):  # one after the other
        return dict(
            type=type(dataset).__name__, samples=len(dataset), datasets=[_describe_data(part) for part in parts]
        )
    described = dict(type=type(dataset).__name__, samples=len(dataset))
    path = getattr(dataset, 'ann_file', None)
    if isinstance(path, (str, os.PathLike)) and os.path.isfile(path):
        return described | stamp_file(path)
    names = getattr(getattr(dataset, 'images', None), 'file_names', None)
    if hasattr(names, 'blob'):
        described['names'] = _checksum(names.blob)
    return described


def _checksum(values: np.ndarray) -> int:
    return crc32(np.ascontiguousarray(values).data) if values.size else 0


def first_difference(saved: Any, own: Any, where: str = 'train_dataloader') -> str | None:
    """Return in a few words where two results of :func:`describe_order` differ; ``None`` where they are equal."""
    if isinstance(own, dict) and isinstance(saved, dict):
        for name in [*own, *(name for name in saved if name not in own)]:
            found = first_difference(saved.get(name), own.get(name), f'{where}.{name!s:.60}')
            if found is not None:
                return found
        return None
    if isinstance(own, list) and isinstance(saved, list) and len(own) == len(saved):
        found = (first_difference(*pair, f'{where}.{number}') for number, pair in enumerate(zip(saved, own)))
        return next((text for text in found if text is not None), None)
    same = type(own) is type(saved) and own == saved
    return None if same else f'{where} was {_show(saved)} and is {_show(own)}'


def _show(value: Any) -> str:
    """A setting for a message."""
    return 'not there' if value is None else f'{value!r:.60}'
