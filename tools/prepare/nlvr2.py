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

What the parts of dev and test1 are scored by is read by ``StatementAccuracy`` as it is, and only looked for here:
balanced_dev.json, unbalanced_dev.json, balanced_test1.json, unbalanced_test1.json and annotated_dev_examples.txt (of
nlvr2/data/balanced, nlvr2/data/unbalanced and nlvr2/util there). A file that differs from the published one is named.

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
from soho.datasets.storage.published_images import open_images
from soho.errors import UserError, clip, exit_on_user_error
from soho.files import hash_file

# Examples as published.
EXAMPLES = dict(train=86_373, dev=6_982, test1=6_967)
DATA_SOURCE = 'https://github.com/lil-lab/nlvr/tree/master/nlvr2/data'
# What parts of a split are scored by, and where it is published.
PARTS = {
    'balanced_dev.json': f'{DATA_SOURCE}/balanced',
    'unbalanced_dev.json': f'{DATA_SOURCE}/unbalanced',
    'balanced_test1.json': f'{DATA_SOURCE}/balanced',
    'unbalanced_test1.json': f'{DATA_SOURCE}/unbalanced',
    'annotated_dev_examples.txt': 'https://github.com/lil-lab/nlvr/tree/master/nlvr2/util',
}
# SHA-256 of the files as they are published; of train.json it is not known here.
SHA256 = {
    'dev.json': '7c44bc7831c0e060ae7d31807c91cc0c9791322363d8d86828fb44a77f09ae88',
    'test1.json': 'f49a6c512d6868f8faf3b3bbe1a816bf5e8643f13c1bf26e527a21b84e27e2ec',
    'balanced_dev.json': '03052b95d1fdc2d51388fb5ec9b42b945bc7155dc706c949c7635bd84de5c6a1',
    'balanced_test1.json': 'aff64e6c45c8c5985a2088bb83e2ffc0eb435c8e1c491da3958c9a27ea6d0740',
    'unbalanced_dev.json': 'bec545dda513bdda9264f1d53c6878b582be16bd040abf6692ebd0055b0f605d',
    'unbalanced_test1.json': 'd66ed86c53d4ed2f33a27c7c72aa8ffbdc4009057a99259179a966ebab43f81d',
    'annotated_dev_examples.txt': '8a73428cb7fa6dbdecb11b538cd2537cfb37608d0afb71fb0b3cc8cc28603208',
}
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
    stores = {split: open_images((args.images or args.root / 'images') / split, IMAGE_SOURCE) for split in files}
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


def list_parts(root: Path) -> str:
    """Return as lines of text which files that parts are scored by are there, and what differs from what is published.

    Args:
        root: Folder of the raw files.
    """
    found = {name: path for name in PARTS if (path := find_input(root, name))}
    lines = [f'parts of dev and test1: {", ".join(found)}'] if found else []
    lines += [f'{name}: missing, published at {source}' for name, source in PARTS.items() if name not in found]
    for name, digest in SHA256.items():
        path = find_input(root, name)
        if path is not None and (own := hash_file(path)) != digest:
            lines.append(f'{path} is not the published file (SHA-256 {own[:12]}..., published {digest[:12]}...)')
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
        args = parse_args(argv)
        print(summary(prepare(args)))
        print(list_parts(args.root))


if __name__ == '__main__':
    main()
