"""tools/analysis/dictionary_atlas.py: the page of any checkpoint with a dictionary."""

import re

import numpy as np
import pytest
from PIL import Image

from soho.engine.checkpoint.inference_spec import InferenceSpec, save_weights
from soho.visualization.dictionary_atlas import Patch
from soho.visualization.report import Word, WordPatch, render_words

STEPS = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(96, 64))]


@pytest.fixture(scope='module')
def atlas(load_tool):
    return load_tool('analysis/dictionary_atlas')


@pytest.fixture
def checkpoint(soho_config, make_model, tmp_path):
    """A model with eight words."""
    path = tmp_path / 'pretrained.safetensors'
    save_weights(path, make_model('pretrain').state_dict(), InferenceSpec(soho_config('pretrain'), STEPS))
    return str(path)


@pytest.fixture
def photos(tmp_path):
    """Five pictures of two sizes."""
    rng = np.random.default_rng(0)
    (tmp_path / 'photos').mkdir()
    for number in range(5):
        pixels = rng.integers(0, 256, (64, 96 - 16 * (number % 2), 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / 'photos' / f'{number}.png')
    return str(tmp_path / 'photos')


def test_every_used_word_is_shown_the_most_used_first(atlas, checkpoint, photos, tmp_path, capsys):
    out = tmp_path / 'atlas.html'
    atlas.main([checkpoint, photos, '--patches', '3', '--out', str(out)])
    page = out.read_text()
    said = re.fullmatch(rf'{re.escape(str(out))}: (\d+) of 8 words on 5 pictures\n', capsys.readouterr().out)
    shown = re.findall(r'<b>Word (\d+)</b> <small>([\d.]+) % of the cells', page)
    assert said and len(shown) == len({word for word, _ in shown}) == int(said[1]) > 1
    shares = [float(share) for _, share in shown]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=0.5)
    assert 'src="http' not in page and page.count('class="patch"') <= 3 * len(shown)


def test_regions_are_cut_from_their_own_pictures(atlas):
    """Words share pictures, which are read once, and keep the order of their regions."""

    class Cells:
        counts, ranked = np.array([1, 0, 5]), [2, 0]

        def patches(self, word, number):
            places = {2: [(1, 0.0), (0, 0.5)], 0: [(1, 0.5)]}[word]
            return [Patch(item, (left, 0.0, left + 0.1, 0.1), 0.0) for item, left in places]

    reads = []

    class Pictures:
        def __getitem__(self, item):
            reads.append(item)
            return dict(image=np.full((50, 50, 3), 100 * item, np.uint8))

    words = atlas.make_words(Cells(), Pictures(), 2)
    assert [word.number for word in words] == [2, 0] and reads == [0, 1]
    (grey, black), (again,) = (word.patches for word in words)
    assert grey.picture == again.picture != black.picture  # of the picture 1, 1 and 0
    assert grey.box[0] == 0 and again.box[0] > 0


def test_rows_have_columns_of_one_width():
    words = [Word(number, 0.5, [WordPatch('data:,', (0, 0, 1, 1))] * number) for number in (1, 4)]
    assert '<div class="words" style="--patches: 4">' in render_words(words)


def test_a_model_without_a_dictionary_is_one_sentence(atlas, photos):
    with pytest.raises(SystemExit, match='soho_vqa_synthetic has no visual dictionary'):
        atlas.main(['soho_vqa_synthetic', photos])
