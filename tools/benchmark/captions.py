"""Throughput of captioning."""

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.inference import throughput


def captions(bench: Bench) -> Rows:
    """Measure captions by beam search, beam 5; with random weights all have 30 tokens."""
    name = 'captions, beam 5, 30 tokens'
    rates = {images: throughput(bench, 'virtex', images) for images in (1, *bench.args.batches)}
    rows: Rows = [(f'{name}: {images} images', rate, 'captions/s') for images, rate in rates.items()]
    return [
        *rows,
        (f'{name}: best', max(rates.values()), 'captions/s'),
        (f'{name}: peak memory', bench.memory.peak(), 'GiB'),
    ]
