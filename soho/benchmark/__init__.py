"""How fast it is, and how fast it could be: one file a part; ``tools/analysis/benchmark.py`` is the command."""
from collections.abc import Callable
from functools import partial

from soho.benchmark.alternatives import alternatives
from soho.benchmark.bench import Bench, Rows
from soho.benchmark.data import data
from soho.benchmark.floors import floors
from soho.benchmark.growth import growth
from soho.benchmark.inference import captions, inference
from soho.benchmark.loop import loop
from soho.benchmark.official_soho import official_soho
from soho.benchmark.official_virtex import official_virtex
from soho.benchmark.operators import operators
from soho.benchmark.startup import startup
from soho.benchmark.training import training_step

MEASURE: dict[str, Callable[[Bench], Rows]] = dict(
    floors=floors,
    pretrain=partial(training_step, kind='pretrain'),
    vqa=partial(training_step, kind='vqa'),
    virtex=partial(training_step, kind='virtex'),
    inference=inference,
    captions=captions,
    operators=operators,
    official_soho=official_soho,
    official_virtex=official_virtex,
    alternatives=alternatives,
    growth=growth,
    data=data,
    startup=startup,
    loop=loop)
# What is measured when no part is named: all but what takes long or needs a checkout.
USUAL = tuple(part for part in MEASURE if part not in ('official_soho', 'official_virtex', 'alternatives', 'growth'))


def measure(part: str, args) -> Rows:
    """A part's figures."""
    return MEASURE[part](Bench(args))


__all__ = ['MEASURE', 'USUAL', 'Bench', 'Rows', 'measure']
