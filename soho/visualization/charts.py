"""Line charts as SVG, for pages that load nothing.

Colours are CSS variables with a default, so a chart also stands alone and
follows the light or dark theme of a page that sets ``--ink``, ``--muted``,
``--grid`` and ``--series-1`` to ``--series-4``.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from soho.errors import UserError

WIDTH, HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 34, 40  # margins in the chart's own pixels
_LETTER = 6.3  # mean width of a letter at the legend's size
SERIES_COLORS = ('#2a78d6', '#d9622b', '#1b9a72', '#8a63c9')


class Series(NamedTuple):
    """A named line through ``points`` (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


def nice_ticks(low: float, high: float, about: int = 5, least: float = 0.0) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, at least ``least`` apart, that enclose [low, high]."""
    if high <= low:
        low, high = low - 0.5, low + 0.5
    raw = max((high - low) / about, least)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float | None, float | None] = (None, None),
) -> str:
    """An SVG of up to four lines over common axes.

    The legend names the last value of each line.

    Args:
        series: Lines; those without points are left out. A single point is drawn as a dot.
        title: What is shown, for those who cannot see it.
        x_label: Below the horizontal axis, which counts something (iterations, epochs).
        y_label: Above the vertical axis.
        y_range: Ends of the vertical axis; ``None`` follows the data.

    Raises:
        ValueError: No point at all, more lines than colours, or a value that is not finite.
    """
    series = [line for line in series if line.points]
    if not series:
        raise UserError(f'the chart {title!r} has no point to show')
    if len(series) > len(SERIES_COLORS):
        raise UserError(
            f'the chart {title!r} has {len(series)} lines; more than {len(SERIES_COLORS)} cannot be told apart'
        )
    points = [point for line in series for point in line.points]
    if not all(math.isfinite(value) for point in points for value in point):
        raise UserError(f'the chart {title!r} has a value that is not a finite number')
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = (data if fixed is None else fixed for fixed, data in zip(y_range, (min(ys), max(ys))))
    # Iterations and epochs are counted in whole numbers.
    x_ticks, y_ticks = nice_ticks(min(xs), max(xs), least=1.0), nice_ticks(low, high)
    # The horizontal axis ends with the data, the vertical one at round numbers.
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (_LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="11">',
        f'<title>{escape(title)}</title>',
    ]
    for tick in y_ticks:
        _, y = place(x_low, tick)
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--grid, #e3e2de)"/>'
        )
        parts.append(_text(_LEFT - 6, y + 4, f'{tick:g}', 'end'))
    for tick in x_ticks:
        if x_low <= tick <= x_high:
            x, y = place(tick, y_ticks[0])
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + 4:.1f}" stroke="var(--muted, #6b6a66)"/>'
            )
            parts.append(_text(x, y + 16, f'{tick:g}', 'middle'))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 6, x_label, 'end'))
    parts.append(_text(4, 12, y_label, 'start'))
    parts += _legend(series, 4 + (len(y_label) + 3) * _LETTER)
    for number, line in enumerate(series):
        parts += _line([place(x, y) for x, y in line.points], _color(number))
    return '\n'.join([*parts, '</svg>'])


def _color(number: int) -> str:
    return f'var(--series-{number + 1}, {SERIES_COLORS[number]})'


def _text(x: float, y: float, text: str, anchor: str, color: str = 'var(--muted, #6b6a66)') -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'


def _legend(series: Sequence[Series], x: float) -> list[str]:
    parts = []
    for number, line in enumerate(series):
        label = f'{line.name} {line.points[-1][1]:.3g}'
        parts.append(f'<rect x="{x:.1f}" y="5" width="12" height="4" rx="2" fill="{_color(number)}"/>')
        parts.append(_text(x + 17, 12, label, 'start', 'var(--ink, #1c1c1a)'))
        x += 17 + len(label) * _LETTER + 12
    return parts


def _line(places: Sequence[tuple[float, float]], color: str) -> list[str]:
    path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
    x, y = places[-1]
    return [
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" '
        'stroke-linejoin="round" stroke-linecap="round"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>',
    ]
