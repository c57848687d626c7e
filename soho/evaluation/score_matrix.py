"""Scores of every image with every caption on disk, so that a run can go on."""

import hashlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from mmengine.dist import is_main_process
from torch import Tensor, nn

from soho.datasets.retrieval import RetrievalDataset
from soho.files import PathLike, atomic_path
from soho.ranks import wait_for_all_ranks


class ScoreMatrix:
    """(I, T) float32 in a ``.npy`` file, not-a-number where a pair is not scored yet.

    Every entry says itself whether it is there, so that a run that was killed goes on with the next image. The CRC-32
    of each row stands in a file beside it; a row without its own, damaged or half written, is scored again. Ranks
    write rows of their own into one file, which has to be on a file system that they share.

    Args:
        path: Path of the file; one of the same shape is taken as it is, else a new one is made by the main rank.
        images: I.
        captions: T.
        chosen: (I, T) bool, the pairs that are to be scored; -inf stands at the others. By default all. Read on the
            main rank only.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: PathLike, images: int, captions: int, chosen: np.ndarray | None = None) -> None:
        self.path = Path(path)
        self.sums_path = self.path.with_suffix('.crc32')
        if is_main_process():
            scores = _open_array(self.path, (images, captions), np.float32)
            sums = _open_array(self.sums_path, (images,), np.uint32)
            if scores is None or sums is None:
                self._make(images, captions, chosen)
            else:
                self._renew_damaged(scores, sums, chosen)
        wait_for_all_ranks()
        self.values: np.ndarray = np.load(self.path, mmap_mode='r+')
        self._sums: np.ndarray = np.load(self.sums_path, mmap_mode='r+')

    def _make(self, images: int, captions: int, chosen: np.ndarray | None) -> None:
        with atomic_path(self.path) as scores, atomic_path(self.sums_path) as sums:
            rows = np.lib.format.open_memmap(scores, 'w+', np.float32, (images, captions))
            row_sums = np.lib.format.open_memmap(sums, 'w+', np.uint32, (images,))
            for number, row in enumerate(rows):
                row[:] = _unscored(number, chosen)
                row_sums[number] = crc32(row)
            rows.flush()
            row_sums.flush()

    def _renew_damaged(self, scores: np.ndarray, sums: np.ndarray, chosen: np.ndarray | None) -> None:
        damaged = [number for number, row in enumerate(scores) if crc32(row) != sums[number]]
        if not damaged:
            return
        warnings.warn(
            f'{self.path}: {len(damaged)} of {len(scores)} images are scored again, since their rows are half written '
            'or damaged.',
            stacklevel=3,
        )
        for number in damaged:
            scores[number] = _unscored(number, chosen)
            sums[number] = crc32(scores[number])
        _flush(scores)
        _flush(sums)

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), T) bool, pairs that are not scored yet."""
        return np.isnan(self.values[rows])

    def write(self, rows: np.ndarray, scores: Tensor) -> None:
        """Write whole rows, (len(rows), T), and have the system put them on the disk."""
        values = scores.float().cpu().numpy()
        self.values[rows] = values
        self._sums[rows] = [crc32(row) for row in np.ascontiguousarray(values)]
        _flush(self.values)
        _flush(self._sums)

    def remove(self) -> None:
        """Remove the files, once all ranks have no more use for them."""
        if is_main_process():
            self.path.unlink(missing_ok=True)
            self.sums_path.unlink(missing_ok=True)


def _open_array(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray | None:
    """Return the array of a ``.npy`` file, to be written to; None if there is none of that shape."""
    try:
        found = np.load(path, mmap_mode='r+')
    except (OSError, ValueError):  # absent or damaged
        return None
    return found if found.shape == shape and found.dtype == dtype else None


def _unscored(row: int, chosen: np.ndarray | None) -> np.ndarray | float:
    return np.nan if chosen is None else np.where(chosen[row], np.nan, -np.inf)


def _flush(array: np.ndarray) -> None:
    getattr(array, 'flush')()  # noqa: B009  # of numpy's memmap, which np.load does not declare


def scores_digest(model: nn.Module, dataset: RetrievalDataset, captions: Iterable[np.ndarray], *settings: Any) -> str:
    """16 hexadecimal digits of what scores depend on: weights, images, captions and further settings.

    A matrix is named by them, so that one of other weights or of another pipeline is never taken for it.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for image in dataset.item_images[:, 0]:
        digest.update(os.fsencode(dataset.images.file_names[image]) + b'\0')
    for array in captions:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
