#!/usr/bin/env python
"""COCO instances -> a picture of each object with its labels, for training a classifier of attributes.

    python tools/prepare/object_crops.py --root data/synthetic/demo

reads ``annotations/instances_SPLIT.json`` and the pictures ``SPLIT.zip`` (or the
folder ``SPLIT``) of train2014 and val2014 and writes, for each that is there,
``objects_SPLIT.zip`` with square cut-outs and ``objects_SPLIT.json``,

    {data: [{file_name, image_id, height, width, labels: [int, ...]}],
     labels: {category: [name, ...], color: [name, ...], ...}}

An object has one label per attribute: its category and, where the file has
attributes in the form of Fashionpedia (``attributes`` with ``supercategory``,
``attribute_ids`` of an annotation), one per supercategory; -1 where it has none.
Crowds and objects smaller than ``--smallest`` pixels are left out.
"""

import argparse
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from soho.datasets.object_crops import SIZE, SMALLEST, Labels, cut_all, read_photos
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import write_json_array
from soho.datasets.storage.manifest import Manifest, find_input
from soho.errors import exit_on_user_error
from soho.files import atomic_path
from soho.platform import available_cores

SPLITS = ('train2014', 'val2014')


def write(
    out: Path, split: str, labels: Labels, found: dict[int, list[int]], size: int, cuts: Iterable[tuple[int, bytes]]
) -> dict[str, Any]:
    """Write the zip and the annotation file of a split; return the manifest entry."""
    pictures, records = out / f'objects_{split}.zip', []
    with atomic_path(pictures) as path, zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as file:
        for number, jpeg in cuts:
            name = f'{number:012d}.jpg'
            file.writestr(zipfile.ZipInfo(f'objects_{split}/{name}', date_time=(2026, 1, 1, 0, 0, 0)), jpeg)
            records.append(dict(file_name=name, image_id=number, height=size, width=size, labels=found[number]))
    path = out / f'objects_{split}.json'
    return {path.name: write_json_array(path, records, key='data', rest=dict(labels=labels.names))}


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the number of objects of each split."""
    sources = {split: path for split in SPLITS if (path := find_input(args.root, f'instances_{split}.json'))}
    if not sources:
        raise FileNotFoundError(
            f'Neither {args.root} nor {args.root / "annotations"} holds a file such as instances_train2014.json.'
        )
    arguments = dict(size=args.size, smallest=args.smallest, seed=args.seed)
    manifest = Manifest(args.out, 'object_crops', arguments, sources.values())
    if counts := manifest.counts_if_current():
        return counts
    counts, outputs = {}, {}
    for split, instances in sources.items():
        labels = Labels(instances)
        photos, found = read_photos(instances, labels, args.smallest)
        cuts = cut_all(photos, ImageStore(args.root / split), args.size, args.seed, args.workers)
        outputs |= write(args.out, split, labels, found, args.size, cuts)
        counts[split] = len(found)
    manifest.write(outputs, counts)
    return counts


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/coco'), help='folder of the downloads')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    parser.add_argument('--size', type=int, default=SIZE, help='side of a cut-out in pixels')
    parser.add_argument(
        '--smallest', type=int, default=SMALLEST, metavar='PIXELS', help='longer side of the smallest object'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of margins and shifts')
    parser.add_argument('--workers', type=int, default=available_cores())
    args = parser.parse_args(argv)
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        counts = prepare(parse_args(argv))
    print(', '.join(f'{split}: {count} objects' for split, count in counts.items()))


if __name__ == '__main__':
    main()
