"""The objects of the world one by one, cut out of its pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from soho.datasets.cutouts import Labels, cut_all, read_photos
from soho.datasets.images import ImageStore

SPLITS = {'train': 'train2014', 'val': 'val2014'}


class WorldObject(NamedTuple):
    """One object."""

    number: int
    """Its id among the COCO instances."""
    labels: dict[str, int]
    """By kind: category, color, texture, size."""
    jpeg: bytes


def world_objects(root: Path, split: str) -> tuple[dict[str, list[str]], Iterator[WorldObject]]:
    """The names of the labels by kind, and the objects of ``train`` or ``val``."""
    file = root / f'annotations/instances_{SPLITS[split]}.json'
    labels = Labels(file)
    photos, found = read_photos(file, labels)
    cuts = cut_all(photos, ImageStore(root / SPLITS[split]))
    return labels.names, (WorldObject(number, dict(zip(labels.names, found[number])), jpeg) for number, jpeg in cuts)
