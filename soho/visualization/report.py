"""Building blocks of a self-contained HTML report: tiles, tables, charts, questions, dictionary words."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

Rows = Sequence[Sequence[str]]


class Tile(NamedTuple):
    """Metric in large type at the top of the page."""

    label: str
    value: str
    note: str


class Chart(NamedTuple):
    """Chart as SVG, with a heading."""

    heading: str
    svg: str


class Example(NamedTuple):
    """What was asked about pictures of the test data, what models answered, and what is right."""

    pictures: Sequence[str]
    """``data:`` URIs."""
    question: str
    """Empty where a caption was asked for."""
    answer: str
    confidence: float | None
    """Confidence in ``answer``, 0 to 1; ``None``: it is not known."""
    blind_answer: str | None
    """Of a model without the image; ``None``: there is none."""
    blind_confidence: float | None
    known: Sequence[str]
    """What is right, in lines of words."""
    score: float
    """Of ``answer``: accuracy, 0 to 1, or the value of ``measure``."""
    blind_score: float
    heat: str | None = None
    """``data:`` URI of the picture under the map of where ``answer`` came from."""
    known_by: str = 'Annotators'
    """What ``known`` is called."""
    measure: str | None = None
    """Name of a score that is no accuracy."""


class WordPatch(NamedTuple):
    """Crop of a picture; ``box`` is the cell in it: left, top, width and height relative to the crop."""

    picture: str
    box: tuple[float, ...]


class Word(NamedTuple):
    """Dictionary word with the regions nearest to it."""

    number: int
    share: float
    """Share of the grid cells assigned to it, 0 to 1."""
    patches: Sequence[WordPatch]


class SampleView(NamedTuple):
    """Sample of a data set as a model gets it."""

    pictures: list[str]
    """``data:`` URI of each image on its canvas."""
    facts: list[tuple[str, str]]
    """Name and text of everything else, in the order of the batch table."""


class Section(NamedTuple):
    """Section of the page: title, paragraphs of plain text, and a body in HTML."""

    title: str
    text: Sequence[str]
    body: str = ''


def render_page(title: str, lead: Sequence[str], tiles: Sequence[Tile], sections: Sequence[Section]) -> str:
    """Return the page as HTML that contains its styles, pictures and charts, and from three sections on contents."""
    style = Path(__file__).with_name('report.css').read_text(encoding='utf-8')
    parts = [
        '<!DOCTYPE html>',
        '<html lang="en">',
        '<head>',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<title>{escape(title)}</title>',
        f'<style>\n{style}</style>',
        '</head>',
        '<body>',
        '<main>',
        f'<header><h1>{escape(title)}</h1>',
        *_paragraphs(lead),
        '</header>',
        '<div class="tiles">',
        *map(_tile, tiles),
        '</div>',
        *(_contents(sections) if len(sections) > 2 else ()),
        *map(_section, sections),
        '</main>',
        '</body>',
        '</html>',
    ]
    return '\n'.join(parts) + '\n'


def render_table(head: Sequence[str], rows: Rows) -> str:
    """Return a table as HTML; its first column names the row, the others are metrics."""
    lines = ['<div class="wide"><table>', '<tr>' + ''.join(f'<th>{escape(cell)}</th>' for cell in head) + '</tr>']
    for name, *cells in rows:
        values = ''.join(f'<td>{escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{values}</tr>')
    return '\n'.join([*lines, '</table></div>'])


def render_charts(charts: Sequence[Chart]) -> str:
    """Return charts as HTML, side by side where there is room."""
    figures = (f'<figure><figcaption>{escape(chart.heading)}</figcaption>\n{chart.svg}\n</figure>' for chart in charts)
    return '\n'.join(['<div class="charts">', *figures, '</div>'])


def render_examples(examples: Sequence[Example]) -> str:
    """Return one card per question as HTML."""
    return '\n'.join(['<div class="examples">', *map(_example, examples), '</div>'])


def render_words(words: Sequence[Word]) -> str:
    """Return one row per dictionary word as HTML."""
    most = max((len(word.patches) for word in words), default=1)
    return '\n'.join([f'<div class="words" style="--patches: {most}">', *map(_word, words), '</div>'])


def render_samples(samples: Sequence[SampleView]) -> str:
    """Return one card per sample of a data set as HTML."""
    return '\n'.join(['<div class="examples">', *map(_sample, samples), '</div>'])


def render_code(lines: Sequence[str]) -> str:
    """Return lines of code as HTML."""
    return '<pre><code>' + '\n'.join(map(escape, lines)) + '</code></pre>'


def _paragraphs(text: Sequence[str]) -> list[str]:
    return [f'<p>{escape(paragraph)}</p>' for paragraph in text]


def _contents(sections: Sequence[Section]) -> list[str]:
    links = (f'<li><a href="#{_anchor(section)}">{escape(section.title)}</a></li>' for section in sections)
    return ['<nav aria-label="Contents"><ul>', *links, '</ul></nav>']


def _anchor(section: Section) -> str:
    return re.sub(r'\W+', '-', section.title.lower()).strip('-')


def _section(section: Section) -> str:
    head = [f'<section id="{_anchor(section)}">', f'<h2>{escape(section.title)}</h2>']
    return '\n'.join([*head, *_paragraphs(section.text), section.body, '</section>'])


def _tile(tile: Tile) -> str:
    return (
        f'<div class="tile"><span>{escape(tile.label)}</span><strong>{escape(tile.value)}</strong>'
        f'<small>{escape(tile.note)}</small></div>'
    )


def _mark(score: float) -> tuple[str, str]:
    """Return CSS class and label for an answer's official accuracy."""
    if score >= 0.995:
        return 'right', '✓ right'
    return ('wrong', '✗ wrong') if score == 0 else ('partly', f'◐ {100 * score:.0f} %')


def _example(example: Example) -> str:
    rows = []
    for who, answer, confidence, score in (
        (
            'With image' if example.blind_answer is not None else 'Model',
            example.answer,
            example.confidence,
            example.score,
        ),
        ('Without', example.blind_answer, example.blind_confidence, example.blind_score),
    ):
        if answer is None:
            continue
        name, words = ('score', f'{example.measure} {score:.2f}') if example.measure else _mark(score)
        sure = '' if confidence is None else f' <small>({100 * confidence:.0f}\u00a0%)</small>'
        rows.append(f'<dt>{who}</dt><dd><b>{escape(answer)}</b>{sure}</dd><dd class="{name}">{words}</dd>')
    pictures = [f'<img src="{picture}" alt="The picture that is asked about">' for picture in example.pictures]
    if example.heat:
        pictures.append(f'<img src="{example.heat}" alt="Where in it the answer came from">')
    known = '<br>'.join(map(escape, example.known))
    return '\n'.join(
        [
            '<article>',
            f'<div class="pictures">{"".join(pictures)}</div>',
            *([f'<h3>{escape(example.question)}</h3>'] if example.question else ()),
            '<dl>',
            *rows,
            f'<dt>{escape(example.known_by)}</dt><dd class="rest">{known}</dd>',
            '</dl>',
            '</article>',
        ]
    )


def _sample(sample: SampleView) -> str:
    pictures = [f'<img src="{uri}" alt="The picture as the model gets it">' for uri in sample.pictures]
    facts = [
        f'<dt>{escape(name)}</dt><dd class="rest">{escape(text).replace(chr(10), "<br>")}</dd>'
        for name, text in sample.facts
    ]
    return '\n'.join(['<article>', *pictures, '<dl>', *facts, '</dl>', '</article>'])


def _word(word: Word) -> str:
    patches = []
    for patch in word.patches:
        left, top, width, height = (f'{100 * part:.1f}%' for part in patch.box)
        patches.append(
            f'<span class="patch"><img src="{patch.picture}" '
            f'alt="A region nearest to word {word.number}">'
            f'<i style="left:{left};top:{top};width:{width};height:{height}"></i></span>'
        )
    return '\n'.join(
        [
            '<div class="word">',
            f'<p><b>Word {word.number}</b> <small>{100 * word.share:.1f} % of the cells</small></p>',
            '<div class="patches">',
            *patches,
            '</div>',
            '</div>',
        ]
    )
