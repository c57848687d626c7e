"""PASCAL VOC 2007 classification by linear SVMs on the features of a frozen CNN.

    python tools/transfer/voc07_svm.py CHECKPOINT --data data/VOCdevkit

As VirTex publishes it: short edge of 256 pixels, the 224 in the middle, mean over the feature map, L2-normalised; an
SVM a class, positives twice as heavy, its cost of 0.01, 0.1, 1 or 10 by three-fold cross-validation on trainval, at
most 2,000 iterations; average precision on test. ``random`` in place of a checkpoint is the baseline.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soho.apis.frozen_cnn import FrozenCNN, add_arguments
from soho.datasets.storage.json_files import write_json
from soho.datasets.voc07 import read_voc07
from soho.engine import ConfigError
from soho.errors import exit_on_user_error
from soho.evaluation.features import build_dataset, center_crop_pipeline
from soho.evaluation.voc07 import FOLDS, mean_average_precision

SPLITS = ('trainval', 'test')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument(
        '--data', type=Path, default=Path('data/VOCdevkit'), help='the folder above VOC2007, or that itself'
    )
    parser.add_argument('--resize', type=int, default=256, help='short edge in pixels')
    parser.add_argument('--crop', type=int, default=224, help='side of the square in the middle')
    parser.add_argument(
        '--eleven-points', action='store_true', help="average precision by VOC07's 11-point rule, not the area"
    )
    return parser.parse_args(argv)


def find_voc(data: Path) -> tuple[Path, list[str]]:
    """The folder ``VOC2007`` and its classes.

    Raises:
        FileNotFoundError: Files are missing.
        ConfigError: A class has too few images.
    """
    root = data / 'VOC2007' if (data / 'VOC2007').is_dir() else data
    known = read_voc07(root, 'trainval')
    counts = (known.labels == 1).sum(0)
    if counts.min() < FOLDS:
        name = known.class_names[int(counts.argmin())]
        raise ConfigError(
            f'{root} shows a {name} in {counts.min()} images of trainval; cross-validation in {FOLDS} '
            f'folds takes at least {FOLDS}'
        )
    return root, known.class_names


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Features of both splits, then the SVMs."""
    root, classes = find_voc(args.data)
    cnn, pipeline = FrozenCNN.from_args(args), center_crop_pipeline(args.resize, args.crop)
    parts = [
        cnn.features(build_dataset(dict(type='VOC07', root=str(root), split=split), pipeline), split)
        for split in SPLITS
    ]
    features, labels = ([part[i].numpy() for part in parts] for i in (0, 1))
    mean, results = mean_average_precision(
        [part.astype(np.float32) for part in features], labels, args.eleven_points, args.workers or 1
    )
    rows = {
        name: dict(
            average_precision=100 * result.average_precision,
            cost=result.cost,
            cross_validation=100 * float(result.cross_validation.mean(1).max()),
        )
        for name, result in zip(classes, results)
    }
    return dict(
        checkpoint=args.checkpoint,
        rule='11 points' if args.eleven_points else 'area',
        images=dict(zip(SPLITS, map(len, labels))),
        mean_average_precision=100 * mean,
        classes=rows,
    )


def table(metrics: dict[str, Any]) -> str:
    lines = ['class            AP   cost  cross-validation']
    lines += [
        f'{name:12s} {row["average_precision"]:6.2f} {row["cost"]:6g} {row["cross_validation"]:17.2f}'
        for name, row in metrics['classes'].items()
    ]
    return '\n'.join([*lines, f'{"mean":12s} {metrics["mean_average_precision"]:6.2f}  ({metrics["rule"]})'])


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    with exit_on_user_error():
        metrics = evaluate(args)
    print(table(metrics))
    if args.out:
        write_json(args.out, metrics, indent=1)
    return metrics


if __name__ == '__main__':
    main()
