"""The page is well formed, shows what it is given and loads nothing."""

import re
from html.parser import HTMLParser

from soho.visualization.charts import Series, line_chart
from soho.visualization.report import (
    Chart,
    Example,
    Section,
    Tile,
    Word,
    WordPatch,
    render_charts,
    render_examples,
    render_page,
    render_table,
    render_words,
)

LOADING = ('src', 'href', 'srcset', 'xlink:href')
PIXEL = 'data:image/jpeg;base64,AAAA'


class Reader(HTMLParser):
    """Checks nesting; collects texts and what would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.loaded = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in LOADING]

    def handle_startendtag(self, tag, attributes):
        self.loaded += [value for name, value in attributes if name in LOADING]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())


def example(score, blind_score=0.0):
    return Example([PIXEL], 'Is <it> red & round?', 'yes', 0.871, 'no', 0.5, ['yes ×9, no ×1'], score, blind_score)


def page():
    chart = Chart('Loss', line_chart([Series('a', [(1, 2.0)])], 't', 'x', 'y'))
    return render_page(
        'A <title>',
        ['What it is.'],
        [Tile('Accuracy', '81.3 %', 'on 10 & more')],
        [
            Section('Table', ['Text.'], render_table(['', 'overall'], [['With the image', '81.25']])),
            Section('Curves', [], render_charts([chart])),
            Section('Examples', [], render_examples([example(1.0), example(0.3, 1.0), example(0.0)])),
            Section('Words', [], render_words([Word(17, 0.125, [WordPatch(PIXEL, (0.25, 0.5, 0.3, 0.3))])])),
        ],
    )


def test_page_is_well_formed_and_self_contained():
    text = page()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert [each for each in reader.loaded if not each.startswith('#')] == [PIXEL] * 4
    assert not re.search(r'<(script|link|iframe)|@import|url\(', text)
    assert re.findall(r'https?://[^"]*', text) == ['http://www.w3.org/2000/svg']  # a name, not an address


def test_page_shows_the_figures():
    reader = Reader()
    reader.feed(page())
    text = ' '.join(reader.text)
    for shown in (
        'A <title>',
        '81.3 %',
        'on 10 & more',
        '81.25',
        'Is <it> red & round?',
        'yes ×9, no ×1',
        '(87\u00a0%)',
        'Word 17',
        '12.5 % of the cells',
    ):
        assert shown in text


def test_page_follows_light_and_dark_and_narrow_screens():
    text = page()
    assert 'prefers-color-scheme: dark' in text and 'width=device-width' in text


def test_contents_lead_to_every_section():
    text = page()
    assert re.findall(r'<a href="#([\w-]+)">', text) == re.findall(r'<section id="([\w-]+)">', text)
    assert '<nav' not in render_page('A', [], [], [Section('Only', [])])


def test_an_answer_may_come_with_its_place_and_without_another_model():
    shown = render_examples([example(1.0)._replace(heat=f'{PIXEL}BB', confidence=None, blind_answer=None)])
    assert shown.count('<img') == 2 and f'src="{PIXEL}BB"' in shown
    assert 'Model' in shown and 'Without' not in shown and '%' not in shown


def test_a_caption_has_its_score_and_its_references():
    caption = example(1.234)._replace(
        question='',
        pictures=[PIXEL, PIXEL],
        blind_answer=None,
        known=['a <b>', 'c'],
        known_by='References',
        measure='CIDEr',
    )
    shown = render_examples([caption])
    assert '<h3>' not in shown and shown.count('<img') == 2 and 'right' not in shown
    assert 'class="score">CIDEr 1.23' in shown and '<dt>References</dt><dd class="rest">a &lt;b&gt;<br>c</dd>' in shown


def test_answers_are_marked_by_their_official_accuracy():
    assert 'class="right">✓ right' in render_examples([example(1.0)])
    assert 'class="partly">◐ 30 %' in render_examples([example(0.3)])
    assert render_examples([example(0.0)]).count('class="wrong">✗ wrong') == 2


def test_word_frame_stands_on_its_cell():
    assert 'style="left:25.0%;top:50.0%;width:30.0%;height:30.0%"' in page()
