"""Square crops of the objects in COCO instances, with the labels of the objects."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from soho.datasets.records import Attribute, Category, CocoImage, CroppedObject
from soho.datasets.storage.decoding import decode_reduced
from soho.datasets.storage.image_sizes import list_once
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import stream_array
from soho.datasets.storage.json_records import stream_records
from soho.datasets.storage.names import check_name
from soho.errors import UserError, clip, quote
from soho.platform import available_cores

SIZE, SMALLEST = 64, 16  # pixels: side of a crop, longer side of the smallest object
# Range of a crop's side, as a multiple of the longer side of the object's box.
MARGIN = (1.25, 2.2)
# Maximum shift of the crop's centre, as a fraction of the object's box.
SHIFT = 0.12
BLOCK = 2048  # images submitted to the workers at a time


class Photo(NamedTuple):
    """An image and the (id, x, y, width, height) of its objects."""

    file_name: str
    height: int
    width: int
    boxes: list[tuple[float, ...]]


class Labels:
    """Attributes of the objects with the names of their labels, and the labels of an annotation.

    The category is the first attribute.
    """

    def __init__(self, instances: Path) -> None:
        self.instances = instances
        listed = list_once(stream_records(instances, Category, 'categories'), 'category', instances)
        categories = {number: category.name for number, category in listed.items()}
        attributes: dict[str, dict[int, str]] = defaultdict(dict)
        if _has_attributes(instances):
            known = list_once(stream_records(instances, Attribute, 'attributes'), 'attribute', instances)
            for number, attribute in known.items():
                attributes[attribute.supercategory][number] = attribute.name
        named = dict(category=categories) | attributes
        self.names = {attribute: list(names.values()) for attribute, names in named.items()}
        self._category = {number: i for i, number in enumerate(categories)}
        self._attribute = {
            number: (nth, i) for nth, names in enumerate(attributes.values(), start=1) for i, number in enumerate(names)
        }

    def of(self, annotation: CroppedObject) -> list[int]:
        """One label for each attribute, -1 where the annotation has none.

        Raises:
            UserError: The file does not list its category or one of its attributes.
        """
        labels = [-1] * len(self.names)
        for kind, known, number in (
            ('category', self._category, annotation.category_id),
            *(('attribute', self._attribute, number) for number in annotation.attribute_ids),
        ):
            if number not in known:
                raise UserError(
                    f'{self.instances}: image {quote(annotation.image_id)} has an object of {kind} {number}, '
                    f'which the file does not list'
                )
        labels[0] = self._category[annotation.category_id]
        for number in annotation.attribute_ids:
            nth, label = self._attribute[number]
            labels[nth] = label
        return labels


def _has_attributes(instances: Path) -> bool:
    first = next(iter(stream_array(instances, 'annotations')), {})
    return isinstance(first, dict) and 'attribute_ids' in first


def cut(store: ImageStore, size: int, seed: int, photo: Photo) -> list[tuple[int, bytes]]:
    """(id, JPEG of ``size`` x ``size`` pixels) of each object of an image."""
    windows = [_window(box, photo, np.random.default_rng([seed, int(box[0])])) for box in photo.boxes]
    # Decoded only as large as the smallest crop needs it.
    scale = min(1.0, size / min(side for _, _, side in windows))
    needed = (int(np.ceil(photo.width * scale)), int(np.ceil(photo.height * scale)))
    image, (height, _) = decode_reduced(
        store.read(photo.file_name), needed, name=f'image {clip(photo.file_name)} of {store.path}'
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
    """Left, top and side of the square to crop, inside the image."""
    _, x, y, width, height = box
    side = min(max(width, height) * rng.uniform(*MARGIN), photo.width, photo.height)
    shift_x, shift_y = rng.uniform(-SHIFT, SHIFT, 2)
    left = np.clip(x + width * (0.5 + shift_x) - side / 2, 0, photo.width - side)
    top = np.clip(y + height * (0.5 + shift_y) - side / 2, 0, photo.height - side)
    return float(left), float(top), float(side)


def read_photos(instances: Path, labels: Labels, smallest: int = SMALLEST) -> tuple[list[Photo], dict[int, list[int]]]:
    """Images that have usable objects, and the labels of each object by its number.

    The number is the object's id or, where the ids are not distinct numbers from 0 on, its place in the file from 1 on.
    """
    photos = {
        number: Photo(image.file_name, image.height, image.width, [])
        for number, image in list_once(stream_records(instances, CocoImage, 'images'), 'image', instances).items()
    }
    for photo in photos.values():
        check_name(photo.file_name)
    numbers = object_numbers(item.id for item in stream_records(instances, CroppedObject, 'annotations'))
    labels_of = {}
    for number, item in zip(numbers, stream_records(instances, CroppedObject, 'annotations')):
        if item.image_id not in photos:
            raise UserError(f"{instances} has an object of image {quote(item.image_id)}, which its list 'images' lacks")
        if item.iscrowd or max(item.bbox[2:]) < smallest:
            continue
        photos[item.image_id].boxes.append((number, *item.bbox))
        labels_of[number] = labels.of(item)
    return [photo for photo in photos.values() if photo.boxes], labels_of


def object_numbers(ids: Iterable[int | str | None]) -> Sequence[int]:
    """Return a number for each object: its id, or 1, 2, ... where not all ids are distinct numbers from 0 on."""
    given = list(ids)
    whole = [number for number in given if isinstance(number, int) and number >= 0]
    return whole if len(set(whole)) == len(given) else range(1, len(given) + 1)


def cut_all(
    photos: Sequence[Photo], store: ImageStore, size: int = SIZE, seed: int = 0, workers: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield the crops of all images, in order; see :func:`cut`."""
    job = functools.partial(cut, store, size, seed)
    # OpenCV releases the GIL while it decodes and resizes, so threads are enough.
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        for start in range(0, len(photos), BLOCK):
            for cuts in pool.map(job, photos[start : start + BLOCK]):
                yield from cuts
