"""Captions a second."""
from soho.benchmark.bench import Bench, Rows
from soho.benchmark.inference import throughput


def captions(bench: Bench) -> Rows:
    """Captions by beam search, beam 5; with random weights none ends before its 30th token."""
    name = 'captions, beam 5, 30 tokens'
    rows: Rows = [(f'{name}: {images} images', throughput(bench, 'virtex', images), 'captions/s') for images in (1, 8)]
    return [*rows, (f'{name}: peak memory', bench.memory.peak(), 'GiB')]
