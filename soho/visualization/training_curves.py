"""Metrics that a training run has logged, as curves."""

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from soho.errors import UserError
from soho.files import read_bytes

Points = list[tuple[float, float]]
_BOOKKEEPING = {'step', 'epoch', 'iter', 'time', 'data_time', 'memory', 'lr', 'base_lr'}


class Curves(NamedTuple):
    """Points (x, value) of every logged metric by name."""

    training: dict[str, Points]
    """Metrics on training batches, as means over the last iterations; x is the iteration."""
    held_out: dict[str, Points]
    """Metrics on validation data; x counts ``held_out_unit``."""
    held_out_unit: str
    """Unit of x of ``held_out``: ``'epoch'`` or ``'iteration'``."""
    step_seconds: float | None = None
    """Mean seconds of a training iteration, data included; ``None`` where none were logged."""

    def last(self) -> dict[str, float]:
        """Return the newest value of each metric, on validation data where it was measured there."""
        return {name: points[-1][1] for name, points in {**self.training, **self.held_out}.items()}


def read_curves(work_dir: str | Path) -> Curves:
    """Return the curves of every ``vis_data/scalars.json`` below a work dir.

    A run that was interrupted and resumed has one file per attempt; where two
    attempts logged the same step, the later one counts.

    Raises:
        FileNotFoundError: Nothing has been logged.
        UserError: A line that is not the last of its file cannot be read.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} has no */vis_data/scalars.json: no training was logged there')
    training: dict[int, dict] = {}
    held_out: dict[int, dict] = {}
    by_epoch = False
    for file in files:
        for row in _read_rows(file):
            # Only training rows have a learning rate.
            rows = training if 'lr' in row else held_out
            by_epoch |= 'lr' in row and 'epoch' in row
            rows[row['step']] = row
    seconds = [time for row in training.values() if (time := _to_float(row.get('time'))) is not None]
    return Curves(
        _columns(training),
        _columns(held_out),
        'epoch' if by_epoch else 'iteration',
        sum(seconds) / len(seconds) if seconds else None,
    )


def smooth(points: Points, window: int) -> Points:
    """Return the points with the mean of the ``window`` (odd) nearest values in place of each, of fewer at the ends."""
    half = window // 2
    values = [value for _, value in points]
    means = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [(x, sum(near) / len(near)) for (x, _), near in zip(points, means)]


def _read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what was logged; a run that was killed while it wrote leaves a last line without its end."""
    lines = read_bytes(file).decode('utf-8', 'replace').splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            raise UserError(f'line {number} of {file} is no JSON: {error}') from error
        step = _to_float(row.get('step')) if isinstance(row, dict) else None
        if step is None or not isfinite(step):
            raise UserError(f'line {number} of {file} has no step: mmengine logs one object a line')
        yield row


def _to_float(value: Any) -> float | None:
    """A number that a float can hold; ``None`` for everything else that may stand in a log."""
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _columns(rows: dict[int, dict]) -> dict[str, Points]:
    columns: dict[str, Points] = {}
    for step in sorted(rows):
        for name, value in rows[step].items():
            number = None if name in _BOOKKEEPING else _to_float(value)
            if number is not None:
                columns.setdefault(name, []).append((step, number))
    return columns
