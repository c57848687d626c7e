"""Show what the model really gets: samples of a config after its transforms and collation, as one html page.

python tools/analysis/browse_dataset.py CONFIG [--split train] [--number 16] [--checkpoint FILE] [--out browse.html]

Pictures are shown on their padded canvas as before normalisation, with the boxes of detection; tokens as the pieces
of the vocabulary, [MASK] included; masked words, labels and answers by name. Of masked visual modelling the cell that
is drawn is covered, and with ``--checkpoint``, whose dictionary tells which cells have its word, all that are masked.
Samples are those that the sampler draws first, with the random choices of the first epoch. The page loads nothing from
elsewhere.
"""

import argparse
import functools
import itertools
from collections.abc import Sequence

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from soho.datasets.batch import Batch
from soho.engine import load_config
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.engine.command_line import add_config_options
from soho.engine.data_checks import build_split
from soho.errors import UserError, exit_on_user_error
from soho.files import write_text
from soho.registry import DATA_SAMPLERS, FUNCTIONS, MODELS
from soho.visualization.batch_view import BatchReader
from soho.visualization.masked_cells import find_masked_cells
from soho.visualization.report import SampleView, Section, render_page, render_samples


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train')
    parser.add_argument('--number', type=int, default=16, help='samples that are shown')
    parser.add_argument('--checkpoint', metavar='FILE', help='of a pretraining with this config: its masked cells')
    parser.add_argument('--out', default='browse.html', help='the page (default: browse.html)')
    add_config_options(parser, 'train_dataloader.dataset.data_root=data/coco')
    args = parser.parse_args(argv)
    with exit_on_user_error(args.out):
        cfg = load_config(args.config, args.cfg_options)
        views = read_samples(cfg, args.split, args.number, args.checkpoint)
        write_text(args.out, compose(args.config, args.split, views))
    print(f'{args.out}: {len(views)} samples')


def read_samples(cfg: Config, split: str, number: int, checkpoint: str | None = None) -> list[SampleView]:
    """The first samples of a split, collated as in a run, in the order of its sampler.

    Args:
        cfg: Config of a run.
        split: ``'train'``, ``'val'`` or ``'test'``.
        number: How many.
        checkpoint: Of a run with this config, see :func:`masked_cells`.

    Raises:
        UserError: The config has no such data, or they cannot be read.
    """
    if number < 1:
        raise UserError(f'--number {number}: at least one sample has to be shown')
    init_default_scope(cfg.default_scope)
    dataset = build_split(cfg, split)
    if dataset is None:
        raise UserError(f'the config has no data for --split {split}: there is no {split}_dataloader')
    loader = cfg[f'{split}_dataloader']
    collate = dict(loader.get('collate_fn') or dict(type='collate'))
    collate_fn = functools.partial(FUNCTIONS.get(collate.pop('type')), **collate)
    # a run without a seed draws one, which would show other samples each time
    seed = cfg.get('randomness', {}).get('seed') or 0
    sampler = DATA_SAMPLERS.build({'seed': seed, **loader.sampler, 'dataset': dataset, '_scope_': cfg.default_scope})
    batch = collate_fn([dataset[key] for key in itertools.islice(sampler, number)])
    part = getattr(dataset, 'datasets', [dataset])[0]
    return BatchReader(part.tokenizer, dataset.metainfo).read(batch, masked_cells(cfg, batch, checkpoint))


def masked_cells(cfg: Config, batch: Batch, checkpoint: str | None) -> list[np.ndarray]:
    """The masked cells of each image of a batch; none where nothing is masked.

    Args:
        cfg: Config of a run.
        batch: Samples as collated.
        checkpoint: Its dictionary tells which cells are masked with the drawn one; ``None``: the drawn one is shown.

    Raises:
        UserError: The checkpoint is of another model, or there is nothing that it would show.
    """
    if 'mvm_cell' not in batch or cfg.model.get('neck', {}).get('type') != 'DictionaryNeck':
        if checkpoint:
            raise UserError('--checkpoint tells which cells are masked, and this config masks none')
        return []
    model = MODELS.build(cfg.model).eval()
    if checkpoint:
        load_weights(model, state_dict_of(read_checkpoint(checkpoint)), checkpoint, strict=True)
    return find_masked_cells(model, batch, trained=checkpoint is not None)


def compose(config: str, split: str, views: Sequence[SampleView]) -> str:
    """The page as HTML."""
    lead = [
        f'The first {len(views)} samples of {split}_dataloader, after all transforms and collated to one batch. '
        'Names are those of docs/batch.md.'
    ]
    return render_page(f'What {config} gives the model', lead, (), [Section('Samples', (), render_samples(views))])


if __name__ == '__main__':
    main()
