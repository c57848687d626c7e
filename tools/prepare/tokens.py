#!/usr/bin/env python
"""Tokenise the sentences of a config's annotation files once, instead of in every epoch.

    python tools/prepare/tokens.py configs/Pretrain/soho_res18_pre.py

writes ``FILE.KIND.DIGEST.tokens`` beside each annotation file that its dataloaders read
(where that folder cannot be written, in the user's cache folder). Datasets use it as long
as the annotation file and the tokenizer are the same.
"""

import argparse
from collections.abc import Sequence

from soho.datasets.base import ImageTextDataset
from soho.datasets.storage.prepared_tokens import prepare_tokens
from soho.engine import add_config_options, load_config
from soho.engine.data_checks import build_split
from soho.errors import exit_on_user_error


def prepare(dataset: ImageTextDataset) -> str:
    """Write the tokens of one annotation file unless they exist; return a message."""
    if getattr(dataset, 'index', None) is None or dataset.tokenizer is None:
        return 'has no sentences to tokenise'
    if dataset.tokens is not None:
        return 'is up to date, nothing to do'
    path = prepare_tokens(dataset.ann_file, dataset.index, dataset.column, dataset.tokenizer)
    return f'{len(dataset.index.texts(dataset.column))} sentences in {path}'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    add_config_options(parser, 'train_dataloader.dataset.data_root=DIR')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        cfg = load_config(args.config, args.cfg_options)
        for split in ('train', 'val', 'test'):
            if whole := build_split(cfg, split):
                for dataset in getattr(whole, 'datasets', [whole]):
                    print(f'{split}: {dataset.ann_file}: {prepare(dataset)}')


if __name__ == '__main__':
    main()
