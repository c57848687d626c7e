"""Draw docs/images/architecture.svg, the picture on the first screen of the README.

python docs/images/draw_architecture.py [OUT.svg]

The picture in it is the sample that ships with soho, with a question that the tests ask the shipped model.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

SAMPLE = Path(__file__).resolve().parents[2] / 'resources' / 'models' / 'sample.jpg'
WIDTH, HEIGHT = 1000, 404  # of the drawing, in its own units
INK, MUTED, LINE, PAPER = '#1c1c1a', '#5f5e5a', '#8a8985', '#ffffff'
SEEING, READING, LEARNING = '#dbe9fa', '#fbe6d8', '#d9f0e7'
TINTS = ('#9ec5f4', '#f3b28d', '#93d6b9', '#c3aee8', '#f2d98b')
STYLE = {
    'svg.fonttype': 'none',  # text stays text
    'svg.hashsalt': 'soho',
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
}


def main(argv: Sequence[str] | None = None) -> None:
    out = (sys.argv[1:] if argv is None else argv) or [Path(__file__).with_name('architecture.svg')]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        axes.axis('off')
        draw_soho(axes)
        draw_virtex(axes)
        figure.savefig(out[0], format='svg', metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')))


def draw_soho(axes: Axes) -> None:
    """The upper half: a picture and a question to an answer."""
    write(axes, 20, 28, 'SOHO', size=17, weight='bold', align='left')
    show_sample(axes, 20, 50)
    box(axes, 185, 68, 90, 60, ['CNN'], SEEING)
    box(axes, 312, 54, 178, 88, [], SEEING)
    write(axes, 401, 72, 'visual dictionary', weight='bold')
    draw_words(axes, 340, 82)
    write(axes, 20, 176, '“What color is the circle?”', align='left')
    box(axes, 312, 158, 178, 36, ['WordPiece'], READING)
    box(axes, 535, 54, 160, 140, ['cross-modal', 'BERT'], LEARNING, bold=2)
    for x0, y0, x1, y1 in (
        (150, 98, 183, 98),
        (277, 98, 310, 98),
        (492, 98, 533, 98),
        (218, 176, 310, 176),
        (492, 176, 533, 176),
        (697, 92, 738, 92),
        (697, 156, 738, 156),
    ):
        arrow(axes, x0, y0, x1, y1)
    box(axes, 740, 62, 240, 60, ['pretraining', 'words · visual words · matching'], PAPER)
    box(axes, 740, 132, 240, 62, ['“blue”', 'VQA · retrieval · NLVR2 · SNLI-VE'], PAPER)


def draw_virtex(axes: Axes) -> None:
    """The lower half: a picture to captions, and what the CNN is good for afterwards."""
    axes.plot((20, 980), (222, 222), color='#e3e2de', linewidth=1)
    write(axes, 20, 252, 'VirTex', size=17, weight='bold', align='left')
    show_sample(axes, 20, 274)
    box(axes, 185, 292, 90, 60, ['CNN'], SEEING)
    box(axes, 312, 262, 383, 54, ['caption transformer', 'forward → and ← backward'], LEARNING)
    box(axes, 312, 332, 383, 54, ['transfer', 'SVMs · linear probe · k-NN · fine-tuning · Mask R-CNN'], PAPER)
    box(axes, 740, 262, 240, 54, ['captions', 'beam search · nucleus sampling'], PAPER)
    arrow(axes, 150, 322, 183, 322)
    arrow(axes, 277, 312, 310, 295)
    arrow(axes, 277, 332, 310, 353)
    arrow(axes, 697, 289, 738, 289)


def show_sample(axes: Axes, left: float, top: float) -> None:
    """The sample picture, 128 x 96, as it is: resampled for the page it would be many times as large."""
    picture = Image.open(SAMPLE).resize((128, 96), Image.Resampling.LANCZOS)
    extent = (left, left + 128, top + 96, top)
    axes.imshow(np.asarray(picture), extent=extent, aspect='auto', interpolation='none')


def draw_words(axes: Axes, left: float, top: float) -> None:
    """A grid of cells in the colours of their words."""
    words = [0, 0, 1, 1, 1, 3, 0, 2, 2, 1, 4, 3, 2, 2, 2, 4, 4, 3]
    for cell, word in enumerate(words):
        row, column = divmod(cell, 6)
        axes.add_patch(
            FancyBboxPatch(
                (left + 21 * column, top + 18 * row), 17, 14, 'round,pad=0,rounding_size=3', fc=TINTS[word], ec='none'
            )
        )


def box(
    axes: Axes, left: float, top: float, width: float, height: float, lines: Sequence[str], fill: str, bold: int = 1
) -> None:
    """A box with its name, of ``bold`` lines, and below what belongs to it."""
    axes.add_patch(
        FancyBboxPatch(
            (left, top), width, height, 'round,pad=0,rounding_size=9', facecolor=fill, edgecolor=LINE, linewidth=1.2
        )
    )
    for number, line in enumerate(lines):
        y = top + height / 2 + 19 * (number - (len(lines) - 1) / 2)
        write(axes, left + width / 2, y, line, 13 if number < bold else 11.5, 'bold' if number < bold else 'normal')


def write(
    axes: Axes, x: float, y: float, text: str, size: float = 13, weight: str = 'normal', align: str = 'center'
) -> None:
    color = INK if size > 12 else MUTED
    axes.text(x, y, text, size=size, weight=weight, ha=align, va='center_baseline', color=color)


def arrow(axes: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    style = dict(arrowstyle='-|>', color=MUTED, linewidth=1.4, mutation_scale=13, shrinkA=0, shrinkB=0)
    axes.annotate('', (x1, y1), (x0, y0), arrowprops=style)


if __name__ == '__main__':
    main()
