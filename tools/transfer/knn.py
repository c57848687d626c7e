"""Classification by the nearest neighbours among the features of a frozen CNN.

    python tools/transfer/knn.py CHECKPOINT --config configs/Transfer/imagenet_linear.py --half

The config says what is looked at: its training data are the neighbours, its validation data the questions, both seen
through the pipeline of the latter. Any config will do whose datasets give ``labels``: ImageNet's folders, iNaturalist,
labelled objects, images of VOC2007 that show one class (configs/_base_/datasets/voc07_single.py). Cosine similarity,
20 neighbours that vote with weight exp(similarity / 0.07); ``random`` in place of a checkpoint is the baseline.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from soho.apis.frozen_cnn import FrozenCNN, add_arguments
from soho.datasets.storage.json_files import write_json
from soho.engine import ConfigError, add_config_options, load_config
from soho.errors import exit_on_user_error
from soho.evaluation.features import build_dataset
from soho.evaluation.knn import NEIGHBORS, TEMPERATURE, accuracy, find_neighbors, vote


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('--config', default='configs/Transfer/imagenet_linear.py', help='what is looked at')
    add_config_options(parser, 'val_dataloader.dataset.data_root=DIR')
    parser.add_argument('-k', type=int, default=NEIGHBORS, help='neighbours')
    parser.add_argument('--temperature', type=float, default=TEMPERATURE, help='0 counts all neighbours alike')
    parser.add_argument('--chunk', type=int, default=65536, help='rows of the training features on the device at once')
    return parser.parse_args(argv)


def sources(args: argparse.Namespace) -> tuple[list[Dataset], dict[str, list[str]]]:
    """The training and the validation data, and the names of their labels by kind.

    Raises:
        ConfigError: The config has no such data, or their labels differ.
    """
    config = load_config(args.config, args.cfg_options)
    parts = [(config.get(f'{split}_dataloader') or {}).get('dataset') for split in ('train', 'val')]
    if None in parts:
        raise ConfigError(f'{args.config} has no data of its own for training and for validation; both are needed')
    datasets = [build_dataset(part, parts[1].pipeline) for part in parts]
    names = [dataset.metainfo.get('label_names') for dataset in datasets]
    if None in names:
        raise ConfigError(f'{args.config} reads a {parts[names.index(None)].type}, which gives no labels')
    if names[0] != names[1]:
        raise ConfigError(f'{args.config}: the labels of its training and of its validation data are not the same')
    return datasets, names[1]


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Features of both datasets, then the votes for each kind of label."""
    datasets, names = sources(args)
    cnn = FrozenCNN.from_args(args)
    (bank, known), (queries, truth) = map(cnn.features, datasets, ('neighbours', 'questions'))
    similarities, rows = find_neighbors(queries, bank, args.k, cnn.device, bank_chunk=args.chunk)
    metrics = {}
    for i, (kind, classes) in enumerate(names.items()):
        votes = vote(similarities, known[rows, i], len(classes), args.temperature or None)
        metrics[kind] = accuracy(votes, truth[:, i])
    return dict(
        checkpoint=args.checkpoint,
        config=args.config,
        k=args.k,
        temperature=args.temperature,
        images=dict(neighbours=len(bank), questions=len(queries)),
        accuracy=metrics,
    )


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    with exit_on_user_error():
        metrics = evaluate(args)
    for kind, values in metrics['accuracy'].items():
        print(f'{kind}: ' + ', '.join(f'{name} {value:.2f} %' for name, value in values.items()))
    if args.out:
        write_json(args.out, metrics, indent=1)
    return metrics


if __name__ == '__main__':
    main()
