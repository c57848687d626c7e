"""Line charts as SVG that stands inside an HTML page, drawn by matplotlib.

Colours are CSS variables with a default, so that a chart also stands alone and
follows the light or dark theme of a page that sets ``--ink``, ``--muted``,
``--grid`` and ``--series-1`` to ``--series-4``.
"""

import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

WIDTH, HEIGHT = 440, 270  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 34, 40  # margins around the axes, in the same units
MAX_SERIES = 4  # lines of more colours cannot be told apart
COLORS = {
    '--ink': '#1c1c1a',
    '--muted': '#6b6a66',
    '--grid': '#e3e2de',
    '--series-1': '#2a78d6',
    '--series-2': '#d9622b',
    '--series-3': '#1b9a72',
    '--series-4': '#8a63c9',
}
_STYLE = {
    'svg.fonttype': 'none',  # text stays text: it can be searched and read aloud
    'svg.hashsalt': 'soho',
    'text.parse_math': False,
    'text.color': COLORS['--ink'],
    'font.family': 'DejaVu Sans',  # comes with matplotlib, which measures text with it; shown is the page's font
    'font.size': 11,
}


class Series(NamedTuple):
    """A named line through ``points`` (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


class Level(NamedTuple):
    """A named dashed line across a chart, such as what chance reaches."""

    name: str
    value: float


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float | None, float | None] = (None, None),
    levels: Sequence[Level] = (),
) -> str:
    """Draw up to four lines over common axes; the legend names the last value of each line.

    Equal arguments give equal text.

    Args:
        series: Lines; those without points are left out. A single point is drawn as a dot.
        title: Text alternative of the chart.
        x_label: Label of the horizontal axis, which counts iterations or epochs.
        y_label: Label of the vertical axis.
        y_range: Ends of the vertical axis; ``None`` follows the data.
        levels: Dashed lines across the chart, named in the legend as well.

    Returns:
        An ``<svg>`` element, without an XML declaration.

    Raises:
        ValueError: No point at all, more lines than colours, or a value that is not finite.
    """
    series = [line for line in series if line.points]
    if not series:
        raise ValueError(f'the chart {title!r} has no point to show')
    if len(series) > MAX_SERIES:
        raise ValueError(f'the chart {title!r} has {len(series)} lines; more than {MAX_SERIES} cannot be told apart')
    if not all(math.isfinite(value) for line in series for point in line.points for value in point):
        raise ValueError(f'the chart {title!r} has a value that is not a finite number')
    # Imported here: it takes a second, and most of what imports this package draws nothing.
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))  # the unit of SVG output is a 72nd of an inch
        _draw(figure, series, x_label, y_label, y_range, levels)
        file = io.StringIO()
        figure.savefig(file, format='svg', metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')))
    return _embed(file.getvalue(), title)


def _draw(
    figure: Any,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    y_range: tuple[float | None, float | None],
    levels: Sequence[Level],
) -> None:
    from matplotlib.ticker import MaxNLocator

    width, height = 1 - (LEFT + RIGHT) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT
    axes = figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, width, height), frameon=False)
    figure.patch.set_visible(False)
    for number, line in enumerate(series, start=1):
        color, label = COLORS[f'--series-{number}'], f'{line.name} {line.points[-1][1]:.3g}'
        axes.plot(*zip(*line.points), color=color, linewidth=2, solid_capstyle='round', clip_on=False, label=label)
        x, y = line.points[-1]  # a dot, as a line of no length: a marker would be an id, which another chart has too
        axes.plot((x, x), (y, y), color=color, linewidth=7, solid_capstyle='round', clip_on=False)
    xs, ys = zip(*(point for line in series for point in line.points))
    for name, value in levels:
        label = f'{name} {value:.3g}'
        axes.axhline(value, color=COLORS['--muted'], linewidth=1, linestyle=(0, (4, 3)), clip_on=False, label=label)
        ys = (*ys, value)
    low, high = (data if fixed is None else fixed for fixed, data in zip(y_range, (min(ys), max(ys))))
    ticks = MaxNLocator(5, steps=(1, 2, 5, 10)).tick_values(*_widen(low, high))
    axes.set_yticks(ticks)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
    # The horizontal axis ends with the data, the vertical one at round numbers.
    axes.set(xlim=_widen(min(xs), max(xs)), ylim=(ticks[0], ticks[-1]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter('{x:g}')
    axes.grid(axis='y', color=COLORS['--grid'], linewidth=1, clip_on=False)
    axes.tick_params(length=0, pad=6, labelcolor=COLORS['--muted'])
    axes.set_axisbelow(True)
    figure.text(1 - RIGHT / WIDTH, 6 / HEIGHT, x_label, ha='right', color=COLORS['--muted'])
    figure.text(4 / WIDTH, 1 - 12 / HEIGHT, y_label, color=COLORS['--muted'])
    figure.legend(
        loc='upper right',
        bbox_to_anchor=(1 - RIGHT / WIDTH, 1),
        ncols=len(series) + len(levels),
        frameon=False,
        handlelength=1,
        handletextpad=0.5,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0.2,
    )


def _widen(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis, which must not be equal."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _embed(svg: str, title: str) -> str:
    """Make matplotlib's file an element of a page: without what leaks into the page, and in the page's colours."""
    svg = svg[svg.index('<svg') :]
    svg = re.sub(r'<svg[^>]*>', _head(title), svg, count=1)
    # A style for every element of the page, the ids of groups and clips, which all charts have, and the font.
    svg = re.sub(r'<defs>.*?</defs>|(?<=<g) id="[^"]*"|font-family: [^;"]*; ', '', svg, flags=re.DOTALL)
    svg = re.sub(r'<!--.*?-->|<g/>| transform="rotate\(-0 [^"]*"', '', svg, flags=re.DOTALL)
    svg = re.sub(r'\s*\n\s*', '\n', svg)
    for name, color in COLORS.items():
        svg = svg.replace(color, f'var({name}, {color})')
    return svg.strip()


def _head(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" stroke-linejoin="round">'
        f'<title>{escape(title)}</title>'
    )
