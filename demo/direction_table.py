"""The table of the directions: mean and standard error over the seeds, and whether a direction holds. No torch."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from demo.directions import DIRECTIONS, FIGURES, Direction

Measured = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Figures by variant, seed and key of :data:`FIGURES`."""
# Student's t of 1, 2, ... degrees of freedom, below which 95 % of differences lie in size where there is none.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
MOST_SEEDS = len(T_95) + 1


class Estimate(NamedTuple):
    """Mean of a figure over seeds."""

    mean: float
    error: float
    """Standard error of the mean; nan of a single seed."""
    seeds: int

    def __str__(self) -> str:
        return self.show('.1f')

    def show(self, spec: str) -> str:
        """Return the mean, as ``spec`` says, with its error."""
        return format(self.mean, spec) + (f' ± {self.error:.1f}' if self.seeds > 1 else '')


class Comparison(NamedTuple):
    """A figure of both variants of a direction, over the seeds that both have been trained with."""

    direction: Direction
    figure: str
    better: Estimate
    other: Estimate
    difference: Estimate
    """Of the differences seed by seed: with one seed both see the same samples in the same order."""

    def verdict(self) -> str:
        """Return whether the direction holds by this figure."""
        mean, error, seeds = self.difference
        if seeds == 1:
            return 'one seed'
        if abs(mean) <= T_95[seeds - 2] * error:
            return 'not shown'
        return 'yes' if mean > 0 else 'no, the reverse'


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and standard error of at least one value."""
    count = len(values)
    error = statistics.stdev(values) / math.sqrt(count) if count > 1 else math.nan
    return Estimate(statistics.fmean(values), error, count)


def compare(direction: Direction, found: Measured, seeds: int) -> list[Comparison]:
    """Return a comparison a figure; none where one of the seeds has not been trained or measured."""
    better, other = found.get(direction.better, {}), found.get(direction.other, {})
    comparisons = []
    for figure in direction.figures:
        pairs = [
            (better[seed][figure], other[seed][figure])
            for seed in range(seeds)
            if figure in better.get(seed, {}) and figure in other.get(seed, {})
        ]
        if len(pairs) < seeds:
            return []
        first, second = zip(*pairs)
        difference = estimate([a - b for a, b in pairs])
        comparisons.append(Comparison(direction, figure, estimate(first), estimate(second), difference))
    return comparisons


def format_table(found: Measured, seeds: int, directions: Sequence[Direction] = DIRECTIONS) -> str:
    """Return the table in Markdown, figures in percent."""
    lines = ['| comparison | metric | first | second | difference | holds |', '|---|---|---|---|---|---|']
    for direction in directions:
        comparisons = compare(direction, found, seeds)
        if not comparisons:
            lines.append(f'| {direction.title} | | | | | not run |')
        for number, row in enumerate(comparisons):
            title = '' if number else direction.title
            cells = (title, FIGURES[row.figure], row.better, row.other, row.difference.show('+.1f'), row.verdict())
            lines.append('| ' + ' | '.join(map(str, cells)) + ' |')
    return '\n'.join(lines)


def summarize(found: Measured, seeds: int, directions: Sequence[Direction] = DIRECTIONS) -> dict[str, Any]:
    """Return the contents of ``figures.json``: everything measured, and the comparisons by direction."""
    rows = {
        direction.name: {
            row.figure: dict(
                better=row.better.mean,
                other=row.other.mean,
                difference=row.difference.mean,
                error=row.difference.error if seeds > 1 else None,
                holds=row.verdict(),
            )
            for row in compare(direction, found, seeds)
        }
        for direction in directions
    }
    return dict(seeds=seeds, directions=rows, measured=found)
