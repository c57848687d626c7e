#!/usr/bin/env python
"""Train a SentencePiece vocabulary on captions.

    python tools/prepare/vocabulary.py data/coco/annotations/captions_train2017.json --out data/coco/vocab_10k.model

Reads COCO captions json (of the training split only) with the official
trainer's parameters; a vocabulary of 10,000 from 590,000 captions takes a
minute. Captions are lower-cased and accents removed, here and in
training.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from soho.datasets.records import Caption
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.storage.json_records import stream_records
from soho.errors import exit_on_user_error


def captions_of(files: list[Path]) -> Iterator[str]:
    """Yield the captions of COCO captions files, in the files' order."""
    for file in files:
        for annotation in stream_records(file, Caption, 'annotations'):
            yield annotation.caption


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('captions', type=Path, nargs='+', help='COCO captions json')
    parser.add_argument('--out', type=Path, required=True, help='.model file to write')
    parser.add_argument('--size', type=int, default=10000, help='entries; default: %(default)s')
    parser.add_argument('--keep-case', action='store_true', help='do not lower the case')
    parser.add_argument('--keep-accents', action='store_true', help='do not drop combining marks')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        captions = captions_of(args.captions)
        count = train_vocabulary(captions, args.out, args.size, not args.keep_case, args.keep_accents)
    print(f'{args.out}: {args.size} entries from {count} captions')


if __name__ == '__main__':
    main()
