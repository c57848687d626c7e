#!/usr/bin/env python
"""Public NLVR2 examples and images -> annotation files with the names and sizes of the images.

    python tools/prepare/nlvr2.py --root data/nlvr2

finds train.json, dev.json and test1.json (github.com/lil-lab/nlvr, nlvr2/data) in the root or its folder
``annotations``, and the images of each split in ``images/SPLIT``, a folder or a zip, where a name may have the
official folder (``images/train/12/train-...png``) or not. It writes

    nlvr2_train.jsonl, nlvr2_dev.jsonl, nlvr2_test1.jsonl
        an object a line: identifier, sentence, label, images (names of left and right), sizes (h, w of both)
    prepare_nlvr2.json
        arguments, counts and checksums; with it a second call has nothing to do.

The images are given out by their authors on request (lil.nlp.cornell.edu/nlvr, "Direct image download"), or
downloaded from the addresses in the json files, of which some are dead: ``--skip-missing`` leaves out the examples
of images that are not there.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from soho.datasets.nlvr2 import image_names, parse_identifier
from soho.datasets.records import NLVR2Statement
from soho.datasets.storage.image_sizes import Size, header_size
from soho.datasets.storage.image_store import ImageMissingError, ImageStore
from soho.datasets.storage.json_files import write_json_lines
from soho.datasets.storage.json_records import stream_lines
from soho.datasets.storage.manifest import Manifest, find_input
from soho.errors import UserError, clip, exit_on_user_error

# Examples as published.
EXAMPLES = dict(train=86_373, dev=6_982, test1=6_967)
DATA_SOURCE = 'https://github.com/lil-lab/nlvr/tree/master/nlvr2/data'
IMAGE_SOURCE = 'https://lil.nlp.cornell.edu/nlvr'


class Sizes:
    """Names and sizes of the images of a store, read once each."""

    def __init__(self, store: ImageStore) -> None:
        self.store = store
        self.known: dict[str, Size | None] = {}
        self.names = {name.rpartition('/')[2]: name for name in store.names}

    def find(self, name: str) -> Size | None:
        """Return the size of an image, whatever folder it is in; ``None`` if there is no such image."""
        if name not in self.known:
            try:
                self.known[name] = header_size(self.store, self.names[name.rpartition('/')[2]])
            except (KeyError, ImageMissingError):
                self.known[name] = None
        return self.known[name]


def read_examples(path: Path, sizes: Sizes, counts: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the prepared examples whose images are there; ``counts`` receives how many lack one.

    Raises:
        UserError: An example is faulty.
    """
    for record in stream_lines(path, NLVR2Statement):
        identifier = parse_identifier(record.identifier, str(path))
        counts['examples'] += 1
        found = [sizes.find(name) for name in image_names(record, identifier)]
        images = [size for size in found if size is not None]
        if len(images) < len(found):
            counts['without_image'] += 1
            continue
        label = {} if record.label is None else dict(label=record.label)
        yield dict(
            identifier=record.identifier,
            sentence=record.sentence,
            **label,
            images=[size.file_name for size in images],
            sizes=[[size.height, size.width] for size in images],
        )


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts.

    Raises:
        FileNotFoundError: There is no annotation file, or a split has no images.
        UserError: Images are missing and ``--skip-missing`` is not given.
    """
    files = {split: path for split in EXAMPLES if (path := find_input(args.root, f'{split}.json'))}
    if not files:
        raise FileNotFoundError(
            f'neither {args.root} nor its folder annotations holds train.json, dev.json or test1.json; they are '
            f'published at {DATA_SOURCE}'
        )
    stores = {split: ImageStore((args.images or args.root / 'images') / split) for split in files}
    inputs = [*files.values(), *(store.path for store in stores.values())]
    manifest = Manifest(args.out, 'nlvr2', dict(splits=list(files), skip_missing=args.skip_missing), inputs)
    if counts := manifest.counts_if_current():
        return counts
    counts, outputs = {}, {}
    for split, path in files.items():
        sizes = Sizes(stores[split])
        counts[split] = count = dict(examples=0, without_image=0)
        examples = list(read_examples(path, sizes, count))
        missing = sorted(name for name, size in sizes.known.items() if size is None)
        count['images'], count['missing_images'] = len(sizes.known) - len(missing), len(missing)
        if missing and not args.skip_missing:
            raise UserError(
                f'{len(missing)} images of {split}, such as {clip(missing[0])}, are not in {stores[split].path}, so '
                f'that {count["without_image"]} examples cannot be used: --skip-missing leaves them out; the images '
                f'are to be had at {IMAGE_SOURCE}'
            )
        name = f'nlvr2_{split}.jsonl'
        outputs[name] = write_json_lines(args.out / name, examples)
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, Any]) -> str:
    """Return the counts as lines of text, beside the published ones, and what is missing."""
    lines = []
    for split, published in EXAMPLES.items():
        if split not in counts:
            lines.append(f'{split}: missing, {split}.json is published at {DATA_SOURCE}')
            continue
        count = counts[split]
        line = f'{split}: {count["examples"]} examples ({published} published), {count["images"]} images'
        if count['without_image']:
            line += f'; {count["without_image"]} examples left out, since {count["missing_images"]} images are missing'
        lines.append(line)
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/nlvr2'), help='folder of the raw files')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    parser.add_argument('--images', type=Path, help='folder of the splits of the images (default: images in the root)')
    parser.add_argument('--skip-missing', action='store_true', help='leave out examples of images that are not there')
    args = parser.parse_args(argv)
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        print(summary(prepare(parse_args(argv))))


if __name__ == '__main__':
    main()
