"""Charts are valid SVG whose lines stand where the data does."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from soho.visualization.charts import COLORS, HEIGHT, WIDTH, Level, Series, line_chart

SVG = '{http://www.w3.org/2000/svg}'


def parse(text):
    """Root, lines as lists of (x, y), and all texts."""
    root = ElementTree.fromstring(text)
    lines = []
    for path in root.iter(f'{SVG}path'):
        points = [tuple(map(float, pair)) for pair in re.findall(r'([\d.]+) ([\d.]+)', path.get('d'))]
        drawn = 'stroke: var(--series-' in path.get('style') and points[0][1] > 30  # above that is the legend
        if drawn and points[0] != points[-1]:  # a line of no length is the dot at a line's end
            lines.append(points)
    return root, lines, [element.text for element in root.iter(f'{SVG}text')]


def test_axes_enclose_the_data_and_lines_keep_its_order():
    root, lines, texts = parse(
        line_chart(
            [Series('MLM', [(50, 5.9), (100, 3.1), (150, 0.4)]), Series('ITM', [(50, 0.7), (150, 0.2)])],
            'Losses',
            'iteration',
            'nats',
            (0, None),
        )
    )
    assert root.get('viewBox') == f'0 0 {WIDTH} {HEIGHT}' and root.get('aria-label') == 'Losses'
    numbers = [float(text) for text in texts if re.fullmatch(r'[\d.]+', text)]
    assert min(numbers) == 0 and max(n for n in numbers if n < 50) >= 5.9  # the vertical axis
    assert all(50 <= n <= 150 for n in numbers if n >= 50) and sum(n >= 50 for n in numbers) >= 3
    assert [len(line) for line in lines] == [3, 2]
    xs, ys = zip(*lines[0])
    assert list(xs) == sorted(xs) and list(ys) == sorted(ys)  # falling values go down the page
    assert xs[0] == lines[1][0][0] and xs[-1] == lines[1][-1][0]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for line in lines for x, y in line)
    assert 'MLM 0.4' in texts and 'ITM 0.2' in texts and 'iteration' in texts and 'nats' in texts


def test_equal_steps_of_the_data_are_equal_steps_on_the_page():
    data = [(0, 0), (1, 25), (2, 50), (4, 100)]
    _, (line,), _ = parse(line_chart([Series('a', data)], 't', 'epoch', '%', (0, 100)))
    (left, bottom), (right, top) = line[0], line[-1]
    assert right - left > WIDTH / 2 and bottom - top > HEIGHT / 2
    for (x, y), (epoch, percent) in zip(line, data):
        assert (x - left) / (right - left) == pytest.approx(epoch / 4, abs=1e-3)
        assert (bottom - y) / (bottom - top) == pytest.approx(percent / 100, abs=1e-3)


def test_a_level_is_dashed_named_and_within_the_axis():
    text = line_chart([Series('ITM', [(0, 70), (4, 76)])], 't', 'x', '%', levels=[Level('by chance', 80)])
    root, lines, texts = parse(text)
    assert 'by chance 80' in texts and len(lines) == 1 and 'url(' not in text
    (dashed,) = (
        {path.get('d') for path in root.iter(f'{SVG}path') if 'dasharray' in path.get('style')}
        - {None}
        - {path.get('d') for path in root.iter(f'{SVG}path') if float(re.findall(r'[\d.]+', path.get('d'))[1]) < 30}
    )
    (left, height), (right, same) = (tuple(map(float, pair)) for pair in re.findall(r'([\d.]+) ([\d.]+)', dashed))
    assert height == same < lines[0][-1][1] and right - left > WIDTH / 2  # above both values of the line
    assert '80' in texts  # the axis reaches it


def test_names_are_escaped_and_one_point_is_enough():
    text = line_chart([Series('a < b & $c$', [(3, 7.0)])], 'x > "y"', 'epoch', '%')
    root, lines, texts = parse(text)
    assert not lines and root.get('aria-label') == 'x > "y"'
    assert {'a < b & $c$ 7', '3', '7', 'epoch'} <= set(texts)  # no text is taken for a formula
    assert len(re.findall(r'd="M ([\d.]+ [\d.]+)\nL \1\n"', text)) == 1


def test_vertical_axis_ends_at_round_numbers_and_has_room_for_equal_values():
    def ticks(*ys, y_range=(None, None)):
        root, _, _ = parse(line_chart([Series('a', list(enumerate(ys)))], 't', 'x', 'y', y_range))
        texts = [text.text for text in root.iter(f'{SVG}text') if 'text-anchor: end' in text.get('style')]
        return [float(text.replace('\u2212', '-')) for text in texts if text != 'x']

    assert ticks(20, 30, y_range=(0, 100)) == [0, 20, 40, 60, 80, 100]
    assert ticks(0.13, 0.58) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert ticks(-3, 4)[0] <= -3 and ticks(-3, 4)[-1] >= 4
    assert ticks(5, 5)[0] < 5 < ticks(5, 5)[-1]


def test_equal_charts_are_equal_text_that_fits_into_a_page_beside_others():
    def chart():
        return line_chart([Series(str(i), [(1, i), (2, i + 1)]) for i in range(4)], 't', 'x', 'y')

    text = chart()
    assert text == chart() and text.startswith('<svg')
    assert not re.search(r' id="|url\(|href|<style|font-family: |matplotlib', text)
    colors = set(re.findall(r'#[0-9a-f]{6}', text))
    assert colors == set(COLORS.values()) == set(re.findall(r'var\(--[\w-]+, (#[0-9a-f]{6})\)', text))


@pytest.mark.parametrize(
    ('series', 'message'),
    [
        ([Series('a', [])], "the chart 'Loss' has no point to show"),
        ([Series('a', [(0, float('nan'))])], 'not a finite number'),
        ([Series(str(i), [(0, 0)]) for i in range(5)], '5 lines; more than 4'),
    ],
)
def test_what_cannot_be_drawn_is_said(series, message):
    with pytest.raises(ValueError, match=message):
        line_chart(series, 'Loss', 'x', 'y')
