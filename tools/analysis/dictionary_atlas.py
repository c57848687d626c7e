"""Show which regions of pictures the words of a visual dictionary stand for, as one html page.

python tools/analysis/dictionary_atlas.py CHECKPOINT IMAGES [--pictures 1000] [--patches 8] [--out atlas.html]

CHECKPOINT is of a pretrained SOHO model of any size, IMAGES a folder or zip. Each word that the pictures use is shown
by the grid cells nearest to it (framed), at most one from a picture, the most used word first. The page loads nothing
from elsewhere, and a browser draws only the words that are on the screen.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import soho
from soho.apis.feature_extractor import FeatureExtractor
from soho.apis.images import list_images, open_images
from soho.apis.inferencer import Query
from soho.errors import UserError, exit_on_user_error
from soho.files import write_text
from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.visualization.dictionary_atlas import Atlas, read_cells
from soho.visualization.dictionary_words import cut_words
from soho.visualization.report import Section, Tile, Word, render_page, render_words

SIDE = 64  # pixels of a patch
BATCH = 8  # pictures that are read together


class Samples(Sequence):
    """Pictures as the model reads them, prepared when they are asked for.

    Args:
        extractor: Of the model.
        images: Paths, or what stands for one.
    """

    def __init__(self, extractor: FeatureExtractor, images: Sequence[Any]) -> None:
        self.extractor = extractor
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item):
        return self.extractor.prepare(Query([self.images[item]], {}))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='name of a model, file, folder, http(s):// or Hub id')
    parser.add_argument('images', help='folder or zip of pictures')
    parser.add_argument('--pictures', type=int, default=1000, help='pictures at most, evenly spaced (default: 1000)')
    parser.add_argument('--patches', type=int, default=8, help='regions of a word (default: 8)')
    parser.add_argument('--config', help='config of a checkpoint that does not have its own, such as an official one')
    parser.add_argument('--out', default='atlas.html', help='the page (default: atlas.html)')
    args = parser.parse_args(argv)
    with exit_on_user_error(args.out):
        if args.pictures < 1 or args.patches < 1:
            raise UserError('--pictures and --patches are 1 at least')
        extractor = soho.FeatureExtractor(args.checkpoint, config=args.config, dtype='float32')
        if not isinstance(getattr(extractor.model, 'neck', None), DictionaryNeck):
            raise UserError(f'{args.checkpoint} has no visual dictionary; a pretrained SOHO model has one')
        names = list_images(args.images)
        spaced = np.linspace(0, len(names) - 1, min(len(names), args.pictures)).round().astype(int)
        samples = Samples(extractor, open_images(args.images, [names[i] for i in spaced]))
        atlas = read_atlas(extractor, samples)
        write_text(args.out, compose(args.checkpoint, atlas, make_words(atlas, samples, args.patches), len(samples)))
    print(f'{args.out}: {atlas.used} of {len(atlas.counts)} words on {len(samples)} pictures')


def read_atlas(extractor: FeatureExtractor, samples: Samples) -> Atlas:
    """The cells of all pictures by the word that is nearest to them."""
    model = extractor.model
    cells = read_cells(model, samples, range(len(samples)), extractor.collate, BATCH)
    return Atlas(cells, len(model.neck.dictionary))


def make_words(atlas: Atlas, samples: Samples, number: int) -> list[Word]:
    """Each used word with its ``number`` nearest regions, the most used word first."""
    return cut_words(atlas, atlas.ranked, lambda item: samples[item]['image'], number, SIDE, quality=75)


def compose(checkpoint: str, atlas: Atlas, words: Sequence[Word], pictures: int) -> str:
    """The page as HTML."""
    tiles = [
        Tile('Words', f'{len(atlas.counts):,}', 'of the dictionary'),
        Tile('Used', f'{atlas.used:,}', f'on {pictures:,} pictures'),
        Tile('Perplexity', f'{atlas.perplexity:.0f}', 'equally frequent words that would be as varied'),
    ]
    text = [
        'Each word is shown by the grid cells (framed) whose features are nearest to it, nearest first, at most one '
        'from a picture. The network also looks at what surrounds a cell, so a word need not be explained by what is '
        'inside the frame.'
    ]
    return render_page(
        f'The visual dictionary of {checkpoint}', (), tiles, [Section('Words', text, render_words(words))]
    )


if __name__ == '__main__':
    main()
