"""How fast it is, and how fast it could be: one file a part; ``tools/analysis/benchmark.py`` is the command."""
from collections.abc import Callable

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.data import data
from soho.benchmark.floors import floors
from soho.benchmark.inference import inference
from soho.benchmark.loop import loop
from soho.benchmark.startup import startup
from soho.benchmark.training import training_step

MEASURE: dict[str, Callable[[Bench], Rows]] = dict(
    floors=floors,
    pretrain=lambda bench: training_step(bench, 'pretrain'),
    vqa=lambda bench: training_step(bench, 'vqa'),
    inference=inference,
    data=data,
    startup=startup,
    loop=loop)
PARTS = tuple(MEASURE)

__all__ = ['MEASURE', 'PARTS', 'Bench', 'Rows']
