"""Charts are valid SVG whose lines stand where the data does."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from soho.visualization.charts import HEIGHT, WIDTH, Series, line_chart, nice_ticks

SVG = '{http://www.w3.org/2000/svg}'


def parse(text):
    """Root, lines as lists of (x, y), and all texts."""
    root = ElementTree.fromstring(text)
    lines = [
        [tuple(map(float, pair.split(','))) for pair in line.get('points').split()]
        for line in root.iter(f'{SVG}polyline')
    ]
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


def test_names_are_escaped_and_one_point_is_enough():
    _, lines, texts = parse(line_chart([Series('a < b & c', [(3, 7.0)])], 'x > "y"', 'epoch', '%'))
    assert len(lines) == 1 and 'a < b & c 7' in texts


@pytest.mark.parametrize(
    ('low', 'high', 'least', 'ticks'),
    [
        (0, 100, 0, [0, 20, 40, 60, 80, 100]),
        (0.13, 0.58, 0, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        (1, 2, 1, [1, 2]),
        (-3, 4, 0, [-4, -2, 0, 2, 4]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, least, ticks):
    assert nice_ticks(low, high, least=least) == ticks


def test_equal_values_still_have_an_axis():
    ticks = nice_ticks(5, 5)
    assert ticks[0] < 5 < ticks[-1]


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
