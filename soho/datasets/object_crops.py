"""A square picture of each object of COCO instances, with the object's labels."""

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from soho.datasets.storage.decoding import decode_reduced
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import stream_array
from soho.errors import UserError
from soho.platform import available_cores

SIZE, SMALLEST = 64, 16  # pixels: side of a cut-out, longer side of the smallest object
# Side of a cut-out as a multiple of the longer side of the object's box.
MARGIN = (1.25, 2.2)
# The object's centre strays by up to this share of its box.
SHIFT = 0.12
BLOCK = 2048  # pictures at work at a time


class Photo(NamedTuple):
    """A picture and the (id, x, y, width, height) of its objects."""

    file_name: str
    height: int
    width: int
    boxes: list[tuple[float, ...]]


class Labels:
    """Kinds of labels, the names of each, and the labels of an annotation."""

    def __init__(self, instances: Path) -> None:
        kinds: dict[str, dict[int, str]] = {
            'category': {
                item['id']: item['name'] for item in stream_array(instances, 'categories', required=('id', 'name'))
            }
        }
        attributes: dict[str, dict[int, str]] = defaultdict(dict)
        if _has_attributes(instances):
            for item in stream_array(instances, 'attributes', required=('id', 'name', 'supercategory')):
                attributes[item['supercategory']][item['id']] = item['name']
        self.names = {kind: list(names.values()) for kind, names in (kinds | attributes).items()}
        self._category = {number: i for i, number in enumerate(kinds['category'])}
        self._attribute = {
            number: (nth, i) for nth, names in enumerate(attributes.values(), start=1) for i, number in enumerate(names)
        }

    def of(self, annotation: dict[str, Any]) -> list[int]:
        """One label a kind, -1 where the annotation has none."""
        labels = [-1] * len(self.names)
        labels[0] = self._category[annotation['category_id']]
        for number in annotation.get('attribute_ids', ()):
            nth, label = self._attribute[number]
            labels[nth] = label
        return labels


def _has_attributes(instances: Path) -> bool:
    first = next(iter(stream_array(instances, 'annotations')), {})
    return 'attribute_ids' in first


def cut(store: ImageStore, size: int, seed: int, photo: Photo) -> list[tuple[int, bytes]]:
    """(id, JPEG of ``size`` by ``size`` pixels) of each object of a picture."""
    windows = [_window(box, photo, np.random.default_rng([seed, int(box[0])])) for box in photo.boxes]
    # Decoded only as large as the smallest cut-out needs it.
    scale = min(1.0, size / min(side for _, _, side in windows))
    needed = (int(np.ceil(photo.width * scale)), int(np.ceil(photo.height * scale)))
    image, (height, _) = decode_reduced(
        store.read(photo.file_name), needed, name=f'image {photo.file_name} of {store.path}'
    )
    factor = image.shape[0] / height
    cuts = []
    for box, window in zip(photo.boxes, windows):
        left, top, side = (round(value * factor) for value in window)
        piece = image[top : top + max(side, 1), left : left + max(side, 1), ::-1]
        method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        jpeg = cv2.imencode(
            '.jpg', cv2.resize(piece, (size, size), interpolation=method), [cv2.IMWRITE_JPEG_QUALITY, 92]
        )[1].tobytes()
        cuts.append((int(box[0]), jpeg))
    return cuts


def _window(box: tuple[float, ...], photo: Photo, rng: np.random.Generator) -> tuple[float, float, float]:
    """Left, top and side of the square to cut out, inside the picture."""
    _, x, y, width, height = box
    side = min(max(width, height) * rng.uniform(*MARGIN), photo.width, photo.height)
    shift_x, shift_y = rng.uniform(-SHIFT, SHIFT, 2)
    left = np.clip(x + width * (0.5 + shift_x) - side / 2, 0, photo.width - side)
    top = np.clip(y + height * (0.5 + shift_y) - side / 2, 0, photo.height - side)
    return float(left), float(top), float(side)


def read_photos(instances: Path, labels: Labels, smallest: int = SMALLEST) -> tuple[list[Photo], dict[int, list[int]]]:
    """The pictures that have usable objects, and the labels of each object by its id."""
    photos = {
        image['id']: Photo(image['file_name'], image['height'], image['width'], [])
        for image in stream_array(instances, 'images', required=('id', 'file_name', 'height', 'width'))
    }
    found = {}
    for item in stream_array(instances, 'annotations', required=('id', 'image_id', 'category_id', 'bbox')):
        if item['image_id'] not in photos:
            raise UserError(f"{instances} has an object of image {item['image_id']}, which its list 'images' lacks.")
        if item.get('iscrowd') or max(item['bbox'][2:]) < smallest:
            continue
        photos[item['image_id']].boxes.append((item['id'], *item['bbox']))
        found[item['id']] = labels.of(item)
    return [photo for photo in photos.values() if photo.boxes], found


def cut_all(
    photos: Sequence[Photo], store: ImageStore, size: int = SIZE, seed: int = 0, workers: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The cut-outs of all pictures, in their order."""
    job = functools.partial(cut, store, size, seed)
    # OpenCV decodes and resizes without holding Python's lock, so threads are enough.
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        for start in range(0, len(photos), BLOCK):
            for cuts in pool.map(job, photos[start : start + BLOCK]):
                yield from cuts
