"""Crops of the data set's objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from soho.datasets.object_crops import Labels, cut_all, read_photos
from soho.datasets.storage.image_store import ImageStore

SPLITS = {'train': 'train2014', 'val': 'val2014'}


class SyntheticObject(NamedTuple):
    """Crop of an object."""

    number: int
    """Id of the COCO instance."""
    labels: dict[str, int]
    """Label by attribute: category, color, texture, size."""
    jpeg: bytes


def synthetic_objects(root: Path, split: str) -> tuple[dict[str, list[str]], Iterator[SyntheticObject]]:
    """Return the names of the labels by attribute, and the objects of ``train`` or ``val``."""
    file = root / f'annotations/instances_{SPLITS[split]}.json'
    labels = Labels(file)
    photos, found = read_photos(file, labels)
    cuts = cut_all(photos, ImageStore(root / SPLITS[split]))
    return labels.names, (
        SyntheticObject(number, dict(zip(labels.names, found[number])), jpeg) for number, jpeg in cuts
    )
