#!/usr/bin/env python
"""COCO captions and Visual Genome regions -> the pretraining files of SOHO.

    python tools/prepare/pretrain.py --root data/vg_coco_pre

finds the unpacked downloads in the root or its folder ``annotations`` (the flags
name others): ``captions_train2014.json``, ``captions_val2014.json`` (COCO),
``region_descriptions.json``, ``image_data.json`` (Visual Genome). It writes
``coco_cap_train_pre.json``, ``coco_cap_val_pre.json`` and ``vg_cap_pre.json``,
lists of

    {file_name, image_id, height, width, labels: [], captions: [str, ...]}

and ``prepare_pretrain.json`` with arguments, counts and checksums, with which a
second call has nothing to do. A file whose sources are absent is not written.

Captions: white space is unified; empty captions, and those that an image already
has apart from upper and lower case, are dropped and counted; so are images that
keep no caption.

Which images are used. Half of Visual Genome are COCO images; ``coco_id`` of
``image_data.json`` says which. As in LXMERT and UNITER, no image on which a
downstream task is tested may be seen in pretraining:

1. An image named by a file of ``--test-images`` is left out of all three files.
   Each is a COCO image-info json, a VQA questions json, or a text file with an
   image name or COCO id at the end of each line, such as the Karpathy lists for
   those who will test retrieval. Those of COCO test2014, COCO test2015 and VQA
   test2015 are found in the root.
2. A Visual Genome image whose ``coco_id`` is in neither of the captions files is
   left out as well: COCO publishes captions for all but its test images.
3. A Visual Genome image that is also in the captions files is "shared". With
   ``--shared keep`` (default) both files have it, each with its own captions and
   its own image file; with ``merge`` the regions join the captions of the COCO
   image; with ``drop`` they are left out.
4. A Visual Genome image without ``coco_id`` is kept.

The region descriptions (5.4 million, 700 MB) are read and written as a stream.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from soho.datasets.records import CocoCaption, GenomeImage, ImageReference, ImageRegions, Listed
from soho.datasets.storage.image_sizes import coco_sizes, list_once
from soho.datasets.storage.json_files import MissingKeyError, write_json_array
from soho.datasets.storage.json_records import stream_records
from soho.datasets.storage.manifest import Manifest, find_input
from soho.errors import UserError, exit_on_user_error, quote
from soho.files import read_lines

TEST_IMAGES = (
    'image_info_test2014.json',
    'image_info_test2015.json',
    'v2_OpenEnded_mscoco_test2015_questions.json',
    'v2_OpenEnded_mscoco_test-dev2015_questions.json',
)
OUTPUTS = {'train': 'coco_cap_train_pre.json', 'val': 'coco_cap_val_pre.json', 'vg': 'vg_cap_pre.json'}
# Counts and their labels in the summary.
COUNTED = {
    'images': 'images',
    'captions': 'captions',
    'empty': 'empty captions dropped',
    'repeated': 'repeated captions dropped',
    'no_captions': 'images without captions left out',
    'test': 'test images left out',
    'not_in_coco_trainval': 'images of unknown COCO split left out',
    'shared_keep': 'images shared with COCO kept',
    'shared_merge': 'images shared with COCO merged',
    'shared_drop': 'images shared with COCO dropped',
}


class Photo(NamedTuple):
    """Visual Genome image; ``coco_id`` is None where it is not a COCO image."""

    height: int
    width: int
    coco_id: int | str | None


def read_ids(path: Path) -> set[int | str]:
    """Return the COCO image ids of an image-info json, a VQA questions json or a text file.

    Raises:
        FileNotFoundError, ValueError: A file is missing, or broken at the place that the message names.
    """
    if path.suffix == '.json':
        try:
            return {image.id for image in stream_records(path, Listed, 'images')}
        except MissingKeyError as error:
            if error.key != 'images':
                raise
            return {question.image_id for question in stream_records(path, ImageReference, 'questions')}
    ids: set[int | str] = set()
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            digits = re.findall('[0-9]+', line)
            # No id has more digits than a 64-bit integer.
            if not digits or len(digits[-1]) > 19:
                raise UserError(f'Line {number} of {path} holds no image id: {quote(line.strip())}.')
            ids.add(int(digits[-1]))
    return ids


def clean_captions(captions: Iterable[str], counts: dict[str, int]) -> list[str]:
    """Return an image's captions without empty and repeated ones, which are counted."""
    kept: dict[str, str] = {}
    for caption in captions:
        caption = ' '.join(caption.split())
        key = caption.lower()
        if not caption:
            counts['empty'] += 1
        elif key in kept:
            counts['repeated'] += 1
        else:
            kept[key] = caption
    return list(kept.values())


def make_item(
    file_name: str, image_id: int | str, height: int, width: int, captions: Iterable[str], counts: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the item of an image, unless it has no caption left."""
    captions = clean_captions(captions, counts)
    if not captions:
        counts['no_captions'] += 1
        return
    counts['images'] += 1
    counts['captions'] += len(captions)
    yield dict(file_name=file_name, image_id=image_id, height=height, width=width, labels=[], captions=captions)


def read_coco(captions_file: Path) -> dict[int | str, list[str]]:
    """Return the captions of each COCO image by id.

    Raises:
        FileNotFoundError, ValueError: A file is missing, or broken at the place that the message names.
    """
    captions: dict[int | str, list[str]] = {
        image: [] for image in list_once(stream_records(captions_file, Listed, 'images'), 'image', captions_file)
    }
    for item in stream_records(captions_file, CocoCaption, 'annotations'):
        if item.image_id not in captions:
            raise UserError(
                f"{captions_file} has a caption of image {quote(item.image_id)}, which its list 'images' lacks."
            )
        captions[item.image_id].append(item.caption)
    return captions


def coco_items(
    captions_file: Path,
    captions: dict[int | str, list[str]],
    merged: dict[int | str, list[str]],
    test_ids: set[int | str],
    counts: dict[str, int],
) -> Iterator[dict[str, Any]]:
    """Yield the items of a COCO split; ``merged`` are further captions by image id."""
    for image_id, size in coco_sizes([captions_file]).items():
        if image_id in test_ids:
            counts['test'] += 1
        else:
            yield from make_item(
                size.file_name, image_id, size.height, size.width, captions[image_id] + merged.get(image_id, []), counts
            )


def read_photos(image_data: Path) -> dict[int | str, Photo]:
    """Return Visual Genome's image metadata by image id.

    Raises:
        UserError: An image is listed twice.
    """
    photos: dict[int | str, Photo] = {}
    for image in stream_records(image_data, GenomeImage):
        if image.image_id in photos:
            raise UserError(f'{image_data} lists the image {quote(image.image_id)} twice.')
        photos[image.image_id] = Photo(image.height, image.width, image.coco_id)
    return photos


def vg_items(
    region_file: Path,
    image_data: Path,
    coco_ids: set[int | str],
    test_ids: set[int | str],
    shared: str,
    merged: dict[int | str, list[str]],
    counts: dict[str, int],
) -> Iterator[dict[str, Any]]:
    """Yield the items of Visual Genome by the rules in the docstring of this file.

    Args:
        region_file: ``region_descriptions.json``.
        image_data: ``image_data.json``.
        coco_ids: Images of COCO train and val.
        test_ids: Images to exclude.
        shared: ``'keep'``, ``'merge'`` or ``'drop'``.
        merged: Receives the regions of shared images with ``'merge'``.
        counts: Receives the counts.

    Raises:
        FileNotFoundError, ValueError: A file is missing, or broken at the place that the message names.
    """
    photos = read_photos(image_data)
    seen: set[int | str] = set()
    for number, entry in enumerate(stream_records(region_file, ImageRegions)):
        image_id = entry.image_id if entry.id is None else entry.id
        if image_id is None or image_id not in photos:
            raise UserError(f'Item {number} of {region_file} is of image {quote(image_id)}, which {image_data} lacks.')
        if image_id in seen:
            raise UserError(f'Item {number} of {region_file} is of image {quote(image_id)}, as is an earlier item.')
        seen.add(image_id)
        phrases = [region.phrase for region in entry.regions]
        photo = photos[image_id]
        if photo.coco_id is not None:
            if photo.coco_id in test_ids:
                counts['test'] += 1
                continue
            if photo.coco_id not in coco_ids:
                counts['not_in_coco_trainval'] += 1
                continue
            counts[f'shared_{shared}'] += 1
            if shared == 'merge':
                merged[photo.coco_id] = phrases
            if shared != 'keep':
                continue
        yield from make_item(f'{image_id}.jpg', image_id, photo.height, photo.width, phrases, counts)


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts."""
    coco_files = {
        split: path
        for split in ('train', 'val')
        if (path := getattr(args, f'{split}_captions') or find_input(args.root, f'captions_{split}2014.json'))
    }
    region_file = args.regions or find_input(args.root, 'region_descriptions.json')
    image_data = args.image_data or find_input(args.root, 'image_data.json')
    test_files = args.test_images or [path for name in TEST_IMAGES if (path := find_input(args.root, name))]
    if region_file and not image_data:
        raise FileNotFoundError(f'{region_file} needs image_data.json beside it (or --image-data FILE).')
    if region_file and not coco_files:
        raise FileNotFoundError(
            f'{region_file} needs captions_train2014.json and captions_val2014.json (--train-captions, '
            '--val-captions), which tell the COCO images that may be used from the test images.'
        )
    if not coco_files:
        raise FileNotFoundError(
            f'Neither {args.root} nor {args.root / "annotations"} holds a file such as '
            'captions_train2014.json; --train-captions and the like name other files.'
        )
    inputs = [*coco_files.values(), *test_files, *([region_file, image_data] if region_file else [])]
    manifest = Manifest(args.out, 'pretrain', dict(shared=args.shared), inputs)
    if counts := manifest.counts_if_current():
        return counts

    test_ids = set().union(*map(read_ids, test_files))
    captions = {split: read_coco(path) for split, path in coco_files.items()}
    merged: dict[int | str, list[str]] = {}
    counts, outputs = {}, {}
    if region_file:
        coco_ids = set().union(*captions.values())
        counts['vg'] = Counter()
        items = vg_items(region_file, image_data, coco_ids, test_ids, args.shared, merged, counts['vg'])
        outputs[OUTPUTS['vg']] = write_json_array(args.out / OUTPUTS['vg'], items)
    for split, path in coco_files.items():
        counts[split] = Counter()
        items = coco_items(path, captions[split], merged, test_ids, counts[split])
        outputs[OUTPUTS[split]] = write_json_array(args.out / OUTPUTS[split], items)
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, dict[str, int]]) -> str:
    """Return the counts as lines of text."""
    return '\n'.join(
        f'{OUTPUTS[name]}: '
        + ', '.join(f'{counts[name][key]} {words}' for key, words in COUNTED.items() if counts[name].get(key))
        for name in OUTPUTS
        if name in counts
    )


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/vg_coco_pre'), help='folder of the raw files')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    parser.add_argument('--train-captions', type=Path, metavar='FILE')
    parser.add_argument('--val-captions', type=Path, metavar='FILE')
    parser.add_argument('--regions', type=Path, metavar='FILE', help='region_descriptions.json')
    parser.add_argument('--image-data', type=Path, metavar='FILE', help='image_data.json')
    parser.add_argument(
        '--test-images',
        type=Path,
        nargs='+',
        metavar='FILE',
        help='files that name the images to leave out (default: those found in the root)',
    )
    parser.add_argument(
        '--shared',
        choices=('keep', 'merge', 'drop'),
        default='keep',
        help='Visual Genome images that are in COCO train or val (default: keep)',
    )
    args = parser.parse_args(argv)
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        print(summary(prepare(parse_args(argv))))


if __name__ == '__main__':
    main()
