"""Latency and throughput of VQA inference."""

from collections.abc import Callable
from typing import Any

import torch

from soho.models.folding import fold_norms
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.floors import matrix_rate, utilization
from tools.benchmark.recipes import build, random_batch, recipe


class Prediction:
    """Inference of a published model on a random batch; call it to run it.

    Args:
        bench: Device and dtype.
        kind: ``'vqa'``, one question per image, or ``'virtex'``.
        images: Images per batch.
        fold: Whether to fold the norms into the convolutions.
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
    """Measure VQA inference with one question per image."""
    size = f'{bench.args.size[0]}x{bench.args.size[1]}'
    name = f'vqa inference at {size}, one image'
    predict = Prediction(bench, 'vqa', 1)
    seconds = bench.seconds(predict)
    memory = bench.memory.peak()  # before the matrices, which are larger than an image's maps
    rate = matrix_rate(bench)
    rows = [
        (f'{name}: norms folded', 1000 * seconds, 'ms'),
        (f'{name}: norms not folded', 1000 * bench.seconds(Prediction(bench, 'vqa', 1, fold=False)), 'ms'),
        *utilization(name, predict, seconds, rate),
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
    """Return the images per second of inference in batches of ``images``."""
    predict: Callable[[], Any] = Prediction(bench, kind, images)
    return images / bench.seconds(predict)
