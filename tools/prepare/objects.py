#!/usr/bin/env python
"""COCO instances -> a picture of each object with its labels, for learning to name what one sees.

    python tools/prepare/objects.py --root data/world/demo

reads ``annotations/instances_SPLIT.json`` and the pictures ``SPLIT.zip`` (or the
folder ``SPLIT``) of train2014 and val2014 and writes, for each that is there,
``objects_SPLIT.zip`` with square cut-outs and ``objects_SPLIT.json``,

    {data: [{file_name, image_id, height, width, labels: [int, ...]}],
     labels: {category: [name, ...], color: [name, ...], ...}}

An object has one label of each kind: its category and, where the file has
attributes in the form of Fashionpedia (``attributes`` with ``supercategory``,
``attribute_ids`` of an annotation), one a supercategory; -1 where it has none.
Crowds and objects smaller than ``--smallest`` pixels are left out.
"""
import argparse
import functools
import os
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from soho.datasets.decoding import decode_reduced
from soho.datasets.images import ImageStore
from soho.datasets.json_files import stream_array, write_json_array
from soho.datasets.manifest import Manifest, find_input

SPLITS = ('train2014', 'val2014')
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
        kinds: dict[str, dict[int, str]] = {'category': {
            item['id']: item['name'] for item in stream_array(instances, 'categories', required=('id', 'name'))}}
        attributes: dict[str, dict[int, str]] = defaultdict(dict)
        if _has_attributes(instances):
            for item in stream_array(instances, 'attributes', required=('id', 'name', 'supercategory')):
                attributes[item['supercategory']][item['id']] = item['name']
        self.names = {kind: list(names.values()) for kind, names in (kinds | attributes).items()}
        self._category = {number: i for i, number in enumerate(kinds['category'])}
        self._attribute = {number: (nth, i) for nth, names in enumerate(attributes.values(), start=1)
                           for i, number in enumerate(names)}

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
        store.read(photo.file_name), needed, name=f'image {photo.file_name} of {store.path}')
    factor = image.shape[0] / height
    cuts = []
    for box, window in zip(photo.boxes, windows):
        left, top, side = (round(value * factor) for value in window)
        piece = image[top:top + max(side, 1), left:left + max(side, 1), ::-1]
        method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        jpeg = cv2.imencode('.jpg', cv2.resize(piece, (size, size), interpolation=method),
                            [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
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


def read_photos(instances: Path, labels: Labels, smallest: int) -> tuple[list[Photo], dict[int, list[int]]]:
    """The pictures that have usable objects, and the labels of each object by its id."""
    photos = {image['id']: Photo(image['file_name'], image['height'], image['width'], []) for image in
              stream_array(instances, 'images', required=('id', 'file_name', 'height', 'width'))}
    found = {}
    for item in stream_array(instances, 'annotations', required=('id', 'image_id', 'category_id', 'bbox')):
        if item['image_id'] not in photos:
            raise ValueError(f"{instances} has an object of image {item['image_id']}, which its list 'images' lacks.")
        if item.get('iscrowd') or max(item['bbox'][2:]) < smallest:
            continue
        photos[item['image_id']].boxes.append((item['id'], *item['bbox']))
        found[item['id']] = labels.of(item)
    return [photo for photo in photos.values() if photo.boxes], found


def cut_all(photos: Sequence[Photo], store: ImageStore, size: int, seed: int, workers: int,
            ) -> Iterator[tuple[int, bytes]]:
    """The cut-outs of all pictures, in their order."""
    job = functools.partial(cut, store, size, seed)
    # OpenCV decodes and resizes without holding Python's lock, so threads are enough.
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(photos), BLOCK):
            for cuts in pool.map(job, photos[start:start + BLOCK]):
                yield from cuts


def write(out: Path, split: str, labels: Labels, found: dict[int, list[int]], size: int,
          cuts: Iterable[tuple[int, bytes]]) -> dict[str, Any]:
    """The zip and the annotation file of a split."""
    pictures, records = out / f'objects_{split}.zip', []
    unfinished = pictures.with_suffix('.part')
    with zipfile.ZipFile(unfinished, 'w', zipfile.ZIP_STORED) as file:
        for number, jpeg in cuts:
            name = f'{number:012d}.jpg'
            file.writestr(zipfile.ZipInfo(f'objects_{split}/{name}', date_time=(2026, 1, 1, 0, 0, 0)), jpeg)
            records.append(dict(file_name=name, image_id=number, height=size, width=size, labels=found[number]))
    unfinished.replace(pictures)
    path = out / f'objects_{split}.json'
    return {path.name: write_json_array(path, records, key='data', rest=dict(labels=labels.names))}


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Make the files; returns the number of objects of each split."""
    sources = {split: path for split in SPLITS if (path := find_input(args.root, f'instances_{split}.json'))}
    if not sources:
        raise FileNotFoundError(f'Neither {args.root} nor {args.root / "annotations"} holds a file such as '
                                'instances_train2014.json.')
    arguments = dict(size=args.size, smallest=args.smallest, seed=args.seed)
    manifest = Manifest(args.out, 'objects', arguments, sources.values())
    if counts := manifest.counts_if_current():
        print(f'{manifest.path} is up to date, nothing to do.')
        return counts
    counts, outputs = {}, {}
    for split, instances in sources.items():
        labels = Labels(instances)
        photos, found = read_photos(instances, labels, args.smallest)
        cuts = cut_all(photos, ImageStore(args.root / split), args.size, args.seed, args.workers)
        args.out.mkdir(parents=True, exist_ok=True)
        outputs |= write(args.out, split, labels, found, args.size, cuts)
        counts[split] = len(found)
    manifest.write(outputs, counts)
    return counts


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/coco'), help='folder of the downloads')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    parser.add_argument('--size', type=int, default=64, help='side of a cut-out in pixels')
    parser.add_argument('--smallest', type=int, default=16, metavar='PIXELS', help='longer side of the smallest object')
    parser.add_argument('--seed', type=int, default=0, help='of margins and shifts')
    parser.add_argument('--workers', type=int, default=os.cpu_count())
    args = parser.parse_args(argv)
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    try:
        counts = prepare(parse_args(argv))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    print(', '.join(f'{split}: {count} objects' for split, count in counts.items()))


if __name__ == '__main__':
    main()
