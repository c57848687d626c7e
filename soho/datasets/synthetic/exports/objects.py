"""The objects of the data set one by one, cut out of its pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from soho.datasets.object_crops import Labels, cut_all, read_photos
from soho.datasets.storage.image_store import ImageStore

SPLITS = {'train': 'train2014', 'val': 'val2014'}


class SyntheticObject(NamedTuple):
    """One object."""

    number: int
    """Its id among the COCO instances."""
    labels: dict[str, int]
    """By kind: category, color, texture, size."""
    jpeg: bytes


def synthetic_objects(root: Path, split: str) -> tuple[dict[str, list[str]], Iterator[SyntheticObject]]:
    """The names of the labels by kind, and the objects of ``train`` or ``val``."""
    file = root / f'annotations/instances_{SPLITS[split]}.json'
    labels = Labels(file)
    photos, found = read_photos(file, labels)
    cuts = cut_all(photos, ImageStore(root / SPLITS[split]))
    return labels.names, (
        SyntheticObject(number, dict(zip(labels.names, found[number])), jpeg) for number, jpeg in cuts
    )
