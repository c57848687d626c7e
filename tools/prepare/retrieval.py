#!/usr/bin/env python
"""COCO, Flickr30k or Flickr8k captions in their splits -> the annotation files of image-text retrieval.

    python tools/prepare/retrieval.py coco --root data/coco
    python tools/prepare/retrieval.py flickr30k --root data/flickr30k
    python tools/prepare/retrieval.py flickr8k --root data/flickr8k

finds the downloads in the root or its folder ``annotations``:

``dataset_NAME.json``
    Captions and splits by Andrej Karpathy (https://cs.stanford.edu/people/karpathy/deepimagesent/, in
    caption_datasets.zip), the protocol of published figures.
or a token file with a list of image names a split (Flickr only)
    ``results_20130124.token`` and ``train.txt``, ``val.txt``, ``test.txt`` of Flickr30k Entities, which leaves 1,000
    images for validation where Karpathy leaves 1,014; ``Flickr8k.token.txt`` and ``Flickr_8k.trainImages.txt``,
    ``...devImages.txt``, ``...testImages.txt``. Images of no list are left out and counted, and so are names that are
    no image's: Flickr8k has one, ``2258277193_586949ec62.jpg.1``.

Flickr's images, ``flickr30k-images`` and ``Flicker8k_Dataset`` (https://shannon.cs.illinois.edu/DenotationGraph/, on
request), give the sizes; for COCO these come from ``captions_train2014.json`` and ``captions_val2014.json``
(https://cocodataset.org), or where these are absent from the images. That every image is there is checked; COCO's may
be fetched later, which is said. Written are ``retrieval_train.json``,
``retrieval_val.json``, ``retrieval_test.json`` and, for COCO, ``retrieval_restval.json``: the images of val2014 that
belong to the training split. Each is a list, in the order of the split, of

    {file_name, image_id, height, width, captions: [str, ...]}

``prepare_retrieval.json`` holds arguments, counts and checksums, with which a second call has nothing to do.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from soho.datasets.records import KarpathyImage
from soho.datasets.storage.image_sizes import Size, coco_sizes, header_size
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import write_json_array
from soho.datasets.storage.json_records import stream_records
from soho.datasets.storage.manifest import Manifest, find_input
from soho.datasets.storage.published_images import check_images, open_images
from soho.errors import UserError, clip, exit_on_user_error, quote
from soho.files import read_lines

SPLITS = ('train', 'restval', 'val', 'test')
COCO, FLICKR = 'https://cocodataset.org/#download', 'https://shannon.cs.illinois.edu/DenotationGraph/ (on request)'
KARPATHY = 'https://cs.stanford.edu/people/karpathy/deepimagesent/'
TOKEN_LINE = re.compile(r'(?P<name>[^\t#]+)#(?P<number>[0-9]{1,9})\t(?P<caption>.*)')


class Source(NamedTuple):
    """What a data set's downloads are called, and what they hold."""

    images: str
    tokens: str | None
    lists: dict[str, tuple[str, ...]]
    """Names of the list of each split."""
    expected: dict[str, tuple[int, int]]
    """Images and captions of each split in Karpathy's file."""
    address: str
    """Where the images are published."""
    lists_address: str = ''
    """Where the lists are."""


SOURCES = {
    'coco': Source(
        '', None, {}, dict(train=(82783, 414113), restval=(30504, 152634), val=(5000, 25010), test=(5000, 25010)), COCO
    ),
    'flickr30k': Source(
        'flickr30k-images',
        'results_20130124.token',
        {name: (f'{name}.txt', f'flickr30k_entities_{name}.txt') for name in ('train', 'val', 'test')},
        dict(train=(29000, 145000), val=(1014, 5070), test=(1000, 5000)),
        FLICKR,
        'https://github.com/BryanPlummer/flickr30k_entities',
    ),
    'flickr8k': Source(
        'Flicker8k_Dataset',
        'Flickr8k.token.txt',
        {
            name: (f'Flickr_8k.{part}Images.txt',)
            for name, part in (('train', 'train'), ('val', 'dev'), ('test', 'test'))
        },
        dict(train=(6000, 30000), val=(1000, 5000), test=(1000, 5000)),
        FLICKR,
        FLICKR,
    ),
}


class Image(NamedTuple):
    """An image with its captions."""

    file_name: str
    image_id: int | str
    folder: str
    captions: list[str]


def check_caption(caption: str, where: str) -> str:
    """Return a caption with unified white space.

    Raises:
        UserError: It is empty.
    """
    if not caption.strip():
        raise UserError(f'{where} has the caption {quote(caption)}; a caption is a text that is not empty')
    return ' '.join(caption.split())


def read_karpathy(path: Path, images: str) -> dict[str, list[Image]]:
    """Return the images of each split of ``dataset_NAME.json``.

    Args:
        path: The file.
        images: Folder of the images that say none themselves (``filepath``).

    Raises:
        UserError: A split is unknown, or a caption is empty.
    """
    splits: dict[str, list[Image]] = defaultdict(list)
    for record in stream_records(path, KarpathyImage, 'images'):
        name = record.filename
        where = f'{path}: image {clip(name)}'
        if record.split not in SPLITS:
            raise UserError(f'{where} is of the split {quote(record.split)}; a split is one of {", ".join(SPLITS)}')
        captions = [check_caption(sentence.raw, where) for sentence in record.sentences]
        if not captions:
            raise UserError(f'{where} has no caption')
        image_id = name.removesuffix('.jpg') if record.cocoid is None else record.cocoid
        splits[record.split].append(Image(name, image_id, record.filepath or images, captions))
    return splits


def read_tokens(path: Path, lists: dict[str, Path], images: str, counts: dict[str, Any]) -> dict[str, list[Image]]:
    """Return the images of each list with their captions of a token file (``NAME.jpg#0 TAB caption``).

    Args:
        path: The token file.
        lists: File of image names, with or without ``.jpg``, of each split.
        images: Folder of the images.
        counts: Receives ``not_images`` and ``unlisted``.

    Raises:
        UserError: A line is none of a token file, a caption is empty, or a listed image has no caption.
    """
    captions: dict[str, dict[int, str]] = defaultdict(dict)
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        match = TOKEN_LINE.fullmatch(line)
        if match is None:
            raise UserError(f'line {number} of {path} is {quote(line)}; a line is NAME.jpg#0, a tab and a caption')
        captions[match['name']][int(match['number'])] = check_caption(match['caption'], f'line {number} of {path}')
    bogus = [name for name in captions if not name.endswith('.jpg')]
    counts.update(not_images=len(bogus), unlisted=len(captions) - len(bogus))
    if bogus:
        counts['first_not_image'] = bogus[0]
    splits = {}
    for split, file in lists.items():
        names = [f'{line.strip().removesuffix(".jpg")}.jpg' for line in read_lines(file) if line.strip()]
        for name in names:
            if name not in captions:
                raise UserError(f'{file} lists the image {clip(name)}, of which {path} has no caption')
        counts['unlisted'] -= len(names)
        splits[split] = [
            Image(name, name.removesuffix('.jpg'), images, [text for _, text in sorted(captions[name].items())])
            for name in names
        ]
    return splits


def find_stores(root: Path, source: Source, sizes: Sequence[Path]) -> dict[str, ImageStore]:
    """Return the images by folder; COCO's may be absent where files say their sizes.

    Raises:
        FileNotFoundError: There are no images to read sizes from.
    """
    stores: dict[str, ImageStore] = {}
    for folder in (source.images,) if source.images else ('train2014', 'val2014'):
        if not sizes or any((root / name).exists() for name in (folder, f'{folder}.zip')):
            stores[folder] = open_images(root / folder, source.address)
    return stores


def records(images: Sequence[Image], stores: dict[str, ImageStore], known: dict[Any, Size]) -> Iterator[dict[str, Any]]:
    """Yield the items of an annotation file; sizes that are not ``known`` by image id are read from the images.

    Raises:
        UserError: An image is missing or has no readable header.
    """
    for image in images:
        size = known.get(image.image_id)
        if size is None:
            if image.folder not in stores:
                raise UserError(
                    f'the size of the image {clip(image.file_name)} is not known: it is neither in the files of '
                    f'captions nor in a folder {quote(image.folder)}, which is not there'
                )
            size = header_size(stores[image.folder], image.file_name)
        yield dict(
            file_name=image.file_name,
            image_id=image.image_id,
            height=size.height,
            width=size.width,
            captions=image.captions,
        )


def find_sources(args: argparse.Namespace, source: Source) -> dict[str, Path]:
    """Return the files to read: ``karpathy``, or ``tokens`` and a list for each split.

    Raises:
        FileNotFoundError: Neither is complete.
    """
    name = f'dataset_{args.dataset}.json'
    if karpathy := find_input(args.root, name):
        return dict(karpathy=karpathy)
    tokens = source.tokens and find_input(args.root, source.tokens)
    if not tokens:
        raise FileNotFoundError(
            f'Neither {args.root} nor {args.root / "annotations"} holds {name} (in caption_datasets.zip of '
            f'{KARPATHY})' + (f', nor {source.tokens} with lists of its splits.' if source.tokens else '.')
        )
    found = {split: find_input(args.root, *names) for split, names in source.lists.items()}
    for split, path in found.items():
        if path is None:
            raise FileNotFoundError(
                f'{tokens} needs {source.lists[split][0]}, the images of its {split} split, beside it; it is published '
                f'at {source.lists_address}'
            )
    return dict(tokens=tokens, **{split: path for split, path in found.items() if path})


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts."""
    source = SOURCES[args.dataset]
    files = find_sources(args, source)
    sizes = [path for part in ('train', 'val') if (path := find_input(args.root, f'captions_{part}2014.json'))]
    sizes = sizes if args.dataset == 'coco' else []
    stores = find_stores(args.root, source, sizes)
    inputs = [*files.values(), *sizes, *(store.path for store in stores.values())]
    manifest = Manifest(args.out, 'retrieval', dict(dataset=args.dataset), inputs)
    if counts := manifest.counts_if_current():
        return counts
    counts: dict[str, Any] = {}
    if 'karpathy' in files:
        splits = read_karpathy(files['karpathy'], source.images)
    else:
        lists = {split: path for split, path in files.items() if split != 'tokens'}
        splits = read_tokens(files['tokens'], lists, source.images, counts)
    known = coco_sizes(sizes)
    outputs = {}
    for folder, store in stores.items():
        names = {split: [i.file_name for i in images if i.folder == folder] for split, images in splits.items()}
        check_images(store, names, source.address)
    for split in (split for split in SPLITS if split in splits):
        images = splits[split]
        name = f'retrieval_{split}.json'
        outputs[name] = write_json_array(args.out / name, records(images, stores, known))
        by_folder = Counter(image.folder for image in images)
        counts[split] = dict(
            images=len(images), captions=sum(len(image.captions) for image in images), folders=dict(by_folder)
        )
    counts['absent'] = sorted({image.folder for images in splits.values() for image in images} - stores.keys())
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, Any], dataset: str) -> str:
    """Return the counts as lines of text, beside those of Karpathy's split where they differ."""
    lines = []
    for split, (images, captions) in SOURCES[dataset].expected.items():
        found = counts.get(split)
        if found is None:
            lines.append(f"{split}: none; Karpathy's file, published at {KARPATHY}, has {images} images of it")
            continue
        line = f'{split}: {found["images"]} images, {found["captions"]} captions'
        if (found['images'], found['captions']) != (images, captions):
            line += f" (in Karpathy's split {images} and {captions})"
        lines.append(line)
    for folder in counts['absent']:
        lines.append(f'the images of {folder} are not there yet, and are published at {SOURCES[dataset].address}')
    if counts.get('unlisted'):
        lines.append(f'{counts["unlisted"]} images are in no list and were left out')
    if counts.get('not_images'):
        lines.append(
            f'{counts["not_images"]} names are no image and were left out, such as {clip(counts["first_not_image"])}'
        )
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', choices=SOURCES)
    parser.add_argument('--root', type=Path, help='folder of the downloads (default: data/DATASET)')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    args = parser.parse_args(argv)
    args.root = args.root or Path('data') / args.dataset
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        args = parse_args(argv)
        print(summary(prepare(args), args.dataset))


if __name__ == '__main__':
    main()
