"""Answers and captions: how long one takes, and how many a second."""

from collections.abc import Callable
from typing import Any

import torch

from soho.models.folding import fold_norms
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.floors import matrix_rate, utilisation
from tools.benchmark.recipes import build, random_batch, recipe


class Prediction:
    """The published model that answers or captions one random batch when it is called.

    Args:
        bench: Device and number type.
        kind: ``'vqa'``, one question an image, or ``'virtex'``.
        images: A batch.
        fold: Fold the norms into the convolutions.
    """

    def __init__(self, bench: Bench, kind: str, images: int, fold: bool = True) -> None:
        cfg = recipe(kind, bench.args.cfg_options)
        self.bench = bench
        self.model = build(bench, cfg).eval()
        if fold:
            fold_norms(self.model)
        self.batch = random_batch(kind, cfg, images, 1, bench.args.size)

    @torch.no_grad()
    def __call__(self) -> Any:
        with self.bench.autocast():
            return self.model(mode='predict', **self.model.data_preprocessor(self.batch))


def inference(bench: Bench) -> Rows:
    """Answers to one question an image."""
    size = f'{bench.args.size[0]}x{bench.args.size[1]}'
    name = f'vqa inference at {size}, one image'
    predict = Prediction(bench, 'vqa', 1)
    seconds = bench.seconds(predict)
    memory = bench.memory.peak()  # before the matrices, which are larger than an image's maps
    rate = matrix_rate(bench)
    rows = [
        (f'{name}: norms folded', 1000 * seconds, 'ms'),
        (f'{name}: norms not folded', 1000 * bench.seconds(Prediction(bench, 'vqa', 1, fold=False)), 'ms'),
        *utilisation(name, predict, seconds, rate),
    ]
    rates = {images: throughput(bench, 'vqa', images) for images in (1, *bench.args.batches)}
    name = f'vqa inference at {size}, batches'
    rows += [(f'{name}: {images} images', rate, 'answers/s') for images, rate in rates.items()]
    return [
        *rows,
        (f'{name}: best', max(rates.values()), 'answers/s'),
        (f'{name}: peak memory of one image', memory, 'GiB'),
        (f'{name}: peak memory', bench.memory.peak(), 'GiB'),
    ]


def throughput(bench: Bench, kind: str, images: int) -> float:
    predict: Callable[[], Any] = Prediction(bench, kind, images)
    return images / bench.seconds(predict)
