#!/usr/bin/env python
"""Pictures of one's own with a table of questions, captions or pairs -> annotation files and a config to train.

    python tools/prepare/table.py questions.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py

The table is a csv, tsv, json (a list of objects) or jsonl file, one question, caption or pair a row. Its columns are
found by their names, in upper or lower case; others are left alone:

    image           also file_name, filename, image_id, image_path, img, path: a name in PICTURES (a folder, zip or
                    tar shards), with or without its ending
    question        with answer (or answers, label): a table of questions. Rows of the same picture and question are
                    answers of several people: the most frequent one scores 1, another one its votes divided by those
    question_type   also type, category: of a question; `soho report` shows the accuracy of each
    caption         also text, sentence, description: a table of captions
    left, right     also image1, image2, left_image, right_image, instead of image: two pictures, with
    statement       (or sentence, text, caption) and label (or answer), whether it is true of them: true or false, yes
                    or no, 1 or 0
    split           train, val or test; without this column --val and --test say which share of the pictures is held
                    out, and where it has no val, --val says which share of the training pictures becomes it

A picture belongs to one split with all its rows, and so do pictures with the same bytes, and the two of a pair. Rows
whose picture is missing, damaged or smaller than 32 pixels are left out and counted.

Questions: writes train.json, val.json, test.json, vocab.txt and config.py, and prints which share of the held-out
questions the answer list covers and the baselines that a model has to beat. Validation shows the first of them beside
its own figure. Captions: writes captions_train.json and so on, captions.model and config.py; the baseline is the CIDEr
of the training caption that scores best for every picture. Pairs: writes statements_train.jsonl and so on, and
config.py; the baseline is the more frequent label.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from soho.apis.own_data import Request, prepare_table
from soho.errors import exit_on_user_error


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', type=Path, help='csv, tsv, json or jsonl file')
    parser.add_argument('--images', type=Path, required=True, help='folder or zip of the pictures')
    parser.add_argument('--out', type=Path, help='folder of the results; default: %(default)s')
    parser.add_argument('--image-column', metavar='NAME')
    parser.add_argument('--answer-column', metavar='NAME')
    parser.add_argument('--encoding', metavar='NAME', help='of a csv or tsv, such as cp1252; default: UTF-8')
    parser.add_argument('--val', type=float, metavar='SHARE', help='default: %(default)s')
    parser.add_argument('--test', type=float, metavar='SHARE', help='default: %(default)s')
    parser.add_argument('--seed', type=int, help='of the split; default: %(default)s')
    parser.add_argument('--min-count', type=int, help='questions that an answer of the list has; default: %(default)s')
    parser.add_argument('--recipe', help='config that the new one inherits from; default: small_pretrained')
    parser.set_defaults(**Request._field_defaults)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        lines = prepare_table(Request(**vars(args)))
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
