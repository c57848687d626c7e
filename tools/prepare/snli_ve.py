#!/usr/bin/env python
"""SNLI-VE downloads -> a check of everything that training reads, with counts.

    python tools/prepare/snli_ve.py --root data/flickr30k

The data set reads the official files as they are. This tool reads ``snli_ve_train.jsonl``, ``snli_ve_dev.jsonl`` and
``snli_ve_test.jsonl`` (https://github.com/necla-ml/SNLI-VE) in the root, checks labels, hypotheses and that every
image is in ``flickr30k-images`` (https://shannon.cs.illinois.edu/DenotationGraph/, on request), prints the counts
beside the published ones, and writes each file again with the sizes of the images as ``snli_ve_SPLIT.jsonl`` into
``--out``, so that no training has to open 30,000 images to learn them. ``prepare_snli_ve.json`` holds counts and
checksums, with which a second call has nothing to do.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from soho.datasets.records import ENTAILMENT_LABELS
from soho.datasets.snli_ve import image_size, read_statements
from soho.datasets.storage.image_sizes import Size
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import write_json_lines
from soho.datasets.storage.manifest import Manifest, find_input
from soho.datasets.storage.published_images import check_images, open_images
from soho.errors import UserError, exit_on_user_error

SPLITS = ('train', 'dev', 'test')
SOURCE = 'https://github.com/necla-ml/SNLI-VE'
IMAGE_SOURCE = 'https://shannon.cs.illinois.edu/DenotationGraph/ (on request)'
# Statements and images of each split (arXiv:1901.06706, table 2).
PUBLISHED = dict(train=(529527, 29783), dev=(17858, 1000), test=(17901, 1000))


def check(path: Path, store: ImageStore, counts: Counter) -> Iterator[dict[str, Any]]:
    """Yield the lines that training reads, with ``height`` and ``width``.

    Args:
        path: An official file.
        store: The images.
        counts: Receives the statements of each label, of those that have none in common, and the images.

    Raises:
        UserError: A hypothesis is empty, a label unknown or an image missing.
    """
    sizes: dict[str, Size] = {}
    for where, statement in read_statements(path):
        counts['undecided' if statement.label is None else ENTAILMENT_LABELS[statement.label]] += 1
        if statement.label is None:
            continue
        name = statement.file_name
        if name not in sizes:
            sizes[name] = image_size(store, name, where)
            counts['images'] += 1
        yield dict(
            Flickr30K_ID=name.removesuffix('.jpg'),
            gold_label=ENTAILMENT_LABELS[statement.label],
            sentence2=statement.hypothesis,
            height=sizes[name].height,
            width=sizes[name].width,
        )


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts.

    Raises:
        FileNotFoundError: There is none of the files, or no images.
        UserError: The results would replace the downloads.
    """
    sources = {split: path for split in SPLITS if (path := find_input(args.root, f'snli_ve_{split}.jsonl'))}
    if not sources:
        raise FileNotFoundError(
            f'Neither {args.root} nor {args.root / "annotations"} holds a file such as snli_ve_train.jsonl, which '
            f'{SOURCE} gives.'
        )
    if any(args.out.resolve() == path.parent.resolve() for path in sources.values()):
        raise UserError(f'--out {args.out} is where the downloads are, which stay as they are; name another folder')
    store = open_images(args.images, IMAGE_SOURCE)
    manifest = Manifest(args.out, 'snli_ve', {}, [*sources.values(), store.path])
    if counts := manifest.counts_if_current():
        return counts
    names = {
        split: {statement.file_name for _, statement in read_statements(path) if statement.label is not None}
        for split, path in sources.items()
    }
    check_images(store, names, IMAGE_SOURCE)
    counts, outputs = {}, {}
    for split, path in sources.items():
        found: Counter = Counter()
        name = f'snli_ve_{split}.jsonl'
        outputs[name] = write_json_lines(args.out / name, check(path, store, found))
        counts[split] = dict(found)
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, Any]) -> str:
    """Return the counts as lines of text, beside the published ones where they differ."""
    lines = []
    for split in SPLITS:
        if split not in counts:
            lines.append(f'{split}: missing, snli_ve_{split}.jsonl is published at {SOURCE}')
            continue
        found = counts[split]
        statements = sum(found.get(label, 0) for label in ENTAILMENT_LABELS)
        line = f'{split}: {statements} statements (' + ', '.join(
            f'{found.get(label, 0)} {label}' for label in ENTAILMENT_LABELS
        )
        line += f') of {found.get("images", 0)} images'
        if found.get('undecided'):
            line += f', {found["undecided"]} without a common label left out'
        if (statements, found.get('images')) != PUBLISHED[split]:
            line += '; published are {} of {}'.format(*PUBLISHED[split])
        lines.append(line)
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/flickr30k'), help='folder of the downloads')
    parser.add_argument('--images', type=Path, help='folder or zip of the images (default: ROOT/flickr30k-images)')
    parser.add_argument('--out', type=Path, help='folder of the results (default: ROOT/snli_ve)')
    args = parser.parse_args(argv)
    args.images = args.images or args.root / 'flickr30k-images'
    args.out = args.out or args.root / 'snli_ve'
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        print(summary(prepare(parse_args(argv))))


if __name__ == '__main__':
    main()
