"""Image labels of PASCAL VOC 2007, from the files of the download."""

import os
from glob import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.base import ImageTextDataset
from soho.datasets.image_table import ImageTable
from soho.datasets.records import ListedImage
from soho.datasets.storage.names import is_litter
from soho.errors import UserError, quote
from soho.files import read_lines
from soho.registry import DATASETS

# Labels in the files (-1 absent, 0 difficult, 1 present) to those of the published protocol.
LABELS = {-1: 0, 0: -1, 1: 1}


class VOC07Labels(NamedTuple):
    """Images of a split and their labels."""

    class_names: list[str]
    """Classes in alphabetical order."""
    file_names: list[str]
    """Names such as ``000005.jpg``, in the order of the files."""
    labels: np.ndarray
    """(images, classes) int64: 1 present, 0 absent, -1 present but difficult."""


def class_names(root: str | os.PathLike, split: str) -> list[str]:
    """Classes in alphabetical order, from the names of the files ``ImageSets/Main/CLASS_SPLIT.txt``.

    Raises:
        FileNotFoundError: There are no such files.
    """
    folder = Path(root, 'ImageSets', 'Main')
    files = folder.glob(f'*_{escape(split)}.txt')
    names = sorted(path.name.removesuffix(f'_{split}.txt') for path in files if not is_litter(path.name))
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
        UserError: A line is not a name and a label, or a class lists other images than the first.
    """
    folder = Path(root, 'ImageSets', 'Main')
    classes = class_names(root, split)
    files = [folder / f'{name}_{split}.txt' for name in classes]
    columns: list[list[int]] = []
    names: list[str] = []
    for path in files:
        rows = []
        for number, line in enumerate(read_lines(path), start=1):
            row = line.split()
            if row and (len(row) != 2 or row[1] not in map(str, LABELS)):
                raise UserError(f'{path}, line {number} is {quote(line)}; it should be a name and -1, 0 or 1')
            rows += [row] if row else []
        if names and [row[0] for row in rows] != names:
            raise UserError(f'{path} does not list the images of {files[0]} in its order')
        names = [row[0] for row in rows]
        columns.append([LABELS[int(row[1])] for row in rows])
    return VOC07Labels(classes, [f'{name}.jpg' for name in names], np.array(columns, np.int64).T)


@DATASETS.register_module()
class VOC07(ImageTextDataset):
    """Images of a split with all their labels, or with ``single`` those of exactly one class with its index.

    Args:
        split: ``trainval`` or ``test``.
        root: The folder ``VOC2007`` of the download, with ``ImageSets`` and ``JPEGImages``; below ``data_root``.
        single: Use only images in which exactly one class is present, difficult ones counted, for classifiers with
            a single label per image.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        FileNotFoundError: See :func:`read_voc07`.
        ValueError: See :func:`read_voc07`.
    """

    def __init__(self, split: str, root: str, *args, single: bool = False, **kwargs) -> None:
        self.split = split
        self.single = single
        super().__init__(root, os.path.join(root, 'JPEGImages'), *args, **kwargs)

    def load_annotations(self) -> None:
        split = read_voc07(self.ann_file, self.split)
        labels, names = split.labels, split.file_names
        if self.single:
            chosen = np.flatnonzero(((labels != 0).sum(1) == 1) & (labels == 1).any(1))
            labels, names = labels[chosen].argmax(1)[:, None], [names[i] for i in chosen]
        self.classes = split.class_names
        self.labels = labels
        records = (ListedImage(name, name.removesuffix('.jpg')) for name in names)
        self.images = ImageTable(records, lambda record: None, self.min_side)
        self.item_images = np.arange(len(self.images))[:, None]

    @property
    def metainfo(self) -> dict[str, Any]:
        if self.single:
            return dict(label_names=dict(category=self.classes))
        return dict(label_names={name: ['absent', 'present'] for name in self.classes})

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``attribute_labels`` int64: (20,), 1 present, 0 absent, -1 difficult; or with ``single`` (1,), the class."""
        return dict(attribute_labels=self.labels[index])
