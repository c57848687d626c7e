"""Benchmark of speed and memory, one file per part; ``tools/benchmark/run_benchmark.py`` is the command."""

from argparse import Namespace
from importlib import import_module

# Each part's function has the name of its module, except for the three training steps.
PARTS = (
    'device_tests',
    'floors',
    'pretrain',
    'vqa',
    'virtex',
    'inference',
    'captions',
    'api',
    'retrieval',
    'every_pair',
    'operators',
    'official_soho',
    'official_virtex',
    'alternatives',
    'growth',
    'data',
    'startup',
    'loop',
    'host',
    'guards',
)
# What is measured when no part is named: all but what takes long or needs a checkout.
SPECIAL = ('device_tests', 'official_soho', 'official_virtex', 'alternatives', 'growth', 'guards', 'every_pair')
USUAL = tuple(part for part in PARTS if part not in SPECIAL)
STEPS = ('pretrain', 'vqa', 'virtex')


def measure(part: str, args: Namespace) -> list[tuple[str, float, str]]:
    """Return the metrics of a part: name, value and unit.

    Only this part is imported, so that its process starts quickly and uses little memory.
    """
    bench = import_module('tools.benchmark.bench').Bench(args)
    if part in STEPS:
        return import_module('tools.benchmark.training').training_step(bench, part)
    return getattr(import_module(f'tools.benchmark.{part}'), part)(bench)


__all__ = ['PARTS', 'USUAL', 'measure']
