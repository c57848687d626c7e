"""Runs side by side: charts of what they logged, and a table of their last figures."""

import math
import os
from collections.abc import Mapping, Sequence

from soho.errors import UserError
from soho.visualization.charts import MAX_SERIES, Series, line_chart
from soho.visualization.report import Chart, Rows
from soho.visualization.training_curves import Curves, Points, read_curves

Runs = Mapping[str, Curves]
"""Curves of each run by its name."""


def read_runs(work_dirs: Sequence[str | os.PathLike]) -> dict[str, Curves]:
    """Curves of each work dir, by its path.

    Raises:
        FileNotFoundError: A work dir has no log.
        UserError: A log cannot be read.
    """
    return {os.path.normpath(os.fspath(work_dir)): read_curves(os.fspath(work_dir)) for work_dir in work_dirs}


def short_names(names: Sequence[str]) -> list[str]:
    """Paths without the folders that all of them begin with."""
    if len(names) < 2:
        return [os.path.basename(name) or name for name in names]
    common = os.path.commonpath([os.path.abspath(name) for name in names])
    return [os.path.relpath(os.path.abspath(name), common) for name in names]


def metric_names(runs: Runs, chosen: Sequence[str] = ()) -> list[str]:
    """Metrics that the runs logged: ``loss`` and those on validation data, or the ``chosen`` ones.

    Raises:
        UserError: No run logged a chosen metric.
    """
    logged = dict.fromkeys(
        name for curves in runs.values() for columns in (curves.training, curves.held_out) for name in columns
    )
    missing = [name for name in chosen if name not in logged]
    if missing:
        raise UserError(f'no run logged {missing[0]!r}; they logged {", ".join(sorted(logged)) or "nothing"}')
    if chosen:
        return list(chosen)
    held_out = dict.fromkeys(name for curves in runs.values() for name in curves.held_out)
    return [*(['loss'] if 'loss' in logged and 'loss' not in held_out else []), *held_out]


def compare_figures(runs: Runs, metrics: Sequence[str]) -> tuple[list[str], Rows]:
    """Head and rows of a table of the last value of each metric and the mean seconds of a step; a row a run."""
    rows = []
    for name, curves in zip(short_names(list(runs)), runs.values()):
        last = curves.last()
        figures = [f'{last[metric]:.4g}' if metric in last else '–' for metric in metrics]
        rows.append([name, *figures, '–' if curves.step_seconds is None else f'{curves.step_seconds:.3f}'])
    return ['run', *metrics, 'seconds a step'], rows


def compare_charts(runs: Runs, metrics: Sequence[str]) -> list[Chart]:
    """Charts of each metric, a line a run; with more runs than lines of a chart, several charts a metric.

    A metric is drawn on validation data where any run measured it there. Values that are not finite are left out.
    """
    charts = []
    for metric in metrics:
        held_out = any(metric in curves.held_out for curves in runs.values())
        lines = []
        units = set()
        for name, curves in zip(short_names(list(runs)), runs.values()):
            points = _finite((curves.held_out if held_out else curves.training).get(metric, []))
            if points:
                lines.append(Series(name, points))
                units.add(curves.held_out_unit if held_out else 'iteration')
        title = f'{metric}, {"validation data" if held_out else "training batches"}'
        for first in range(0, len(lines), MAX_SERIES):
            svg = line_chart(lines[first : first + MAX_SERIES], title, ' or '.join(sorted(units)), '')
            charts.append(Chart(title, svg))
    return charts


def _finite(points: Points) -> Points:
    return [point for point in points if math.isfinite(point[1])]
