"""How fast it is, and how fast it could be: one file a part; ``tools/benchmark/run_benchmark.py`` is the command."""

from argparse import Namespace
from importlib import import_module

# Each part's function has the name of its module, except for the three training steps.
PARTS = (
    'floors',
    'pretrain',
    'vqa',
    'virtex',
    'inference',
    'captions',
    'operators',
    'official_soho',
    'official_virtex',
    'alternatives',
    'growth',
    'data',
    'startup',
    'loop',
)
# What is measured when no part is named: all but what takes long or needs a checkout.
USUAL = tuple(part for part in PARTS if part not in ('official_soho', 'official_virtex', 'alternatives', 'growth'))
STEPS = ('pretrain', 'vqa', 'virtex')


def measure(part: str, args: Namespace) -> list[tuple[str, float, str]]:
    """A part's metrics: what, how much, and its unit.

    Nothing else is imported, so that processes start quickly and hold little.
    """
    bench = import_module('tools.benchmark.bench').Bench(args)
    if part in STEPS:
        return import_module('tools.benchmark.training').training_step(bench, part)
    return getattr(import_module(f'tools.benchmark.{part}'), part)(bench)


__all__ = ['PARTS', 'USUAL', 'measure']
