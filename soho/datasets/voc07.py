"""Which objects the images of PASCAL VOC 2007 show, from the files of the download."""
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

# What the files say (absent, difficult, present) and what the published protocol makes of it.
LABELS = {-1: 0, 0: -1, 1: 1}


class VOC07Labels(NamedTuple):
    """The images of one split."""

    class_names: list[str]
    """In alphabetical order."""
    file_names: list[str]
    """Such as ``000005.jpg``, in the files' order."""
    labels: np.ndarray
    """(images, classes) int64: 1 present, 0 absent, -1 present but difficult."""


def class_names(root: str | os.PathLike, split: str) -> list[str]:
    """The classes in alphabetical order, from the names of the files ``ImageSets/Main/CLASS_SPLIT.txt``.

    Raises:
        FileNotFoundError: There are no such files.
    """
    folder = Path(root, 'ImageSets', 'Main')
    names = sorted(path.name.removesuffix(f'_{split}.txt') for path in folder.glob(f'*_{split}.txt'))
    if not names:
        raise FileNotFoundError(f'{folder} has no file CLASS_{split}.txt; it belongs to the download of VOC')
    return names


def read_voc07(root: str | os.PathLike, split: str) -> VOC07Labels:
    """Read ``ImageSets/Main/CLASS_SPLIT.txt`` of every class below ``root``, the folder ``VOC2007``.

    Args:
        root: Holds ``ImageSets``.
        split: ``trainval`` or ``test``.

    Raises:
        FileNotFoundError: There are no such files.
        ValueError: A line is not a name and a label, or a class lists other images than the first.
    """
    folder = Path(root, 'ImageSets', 'Main')
    classes = class_names(root, split)
    files = [folder / f'{name}_{split}.txt' for name in classes]
    columns: list[list[int]] = []
    names: list[str] = []
    for path in files:
        rows = [line.split() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        for number, row in enumerate(rows, start=1):
            if len(row) != 2 or row[1] not in map(str, LABELS):
                raise ValueError(f'{path}, line {number} is {" ".join(row)!r}; it should be a name and -1, 0 or 1')
        if names and [row[0] for row in rows] != names:
            raise ValueError(f'{path} does not list the images of {files[0]} in its order')
        names = [row[0] for row in rows]
        columns.append([LABELS[int(row[1])] for row in rows])
    return VOC07Labels(classes, [f'{name}.jpg' for name in names], np.array(columns, np.int64).T)
