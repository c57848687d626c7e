import io
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from PIL import Image

from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.transforms.image import (
    LoadImage,
    RandomFlip,
    RandomResizeKeepRatio,
    ResizeKeepRatio,
    resize_keep_ratio,
    swap_sides,
)
from soho.registry import TRANSFORMS


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sample(image, **more):
    return dict(image=image, image_size=image.shape[:2], flipped=False, **more)


@pytest.mark.parametrize('name', ['LoadImage', 'ResizeKeepRatio', 'RandomResizeKeepRatio', 'RandomFlip'])
def test_registered(name):
    assert TRANSFORMS.get(name).__module__ == 'soho.datasets.transforms.image'
    assert MMENGINE_TRANSFORMS.get(f'soho.{name}') is TRANSFORMS.get(name)


# ---- LoadImage


@pytest.fixture
def store(tmp_path):
    large = cv2.GaussianBlur(noise(481, 642), (0, 0), 9)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(large).save(tmp_path / 'large.jpg', quality=95, exif=exif)
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, 'JPEG')
    (tmp_path / 'cut.jpg').write_bytes(buffer.getvalue()[:3000])
    return ImageStore(tmp_path)


def test_load_writes_image_and_sizes(store):
    results = LoadImage()(dict(image_store=store, file_name='large.jpg'))
    assert results['image'].shape == (642, 481, 3) and results['image'].dtype == np.uint8
    assert results['image_size'] == results['ori_size'] == (642, 481)
    assert results['flipped'] is False
    assert 'reduced_from' not in results


def test_load_takes_an_image_that_is_there():
    image = noise(5, 7)
    results = LoadImage(reduce_to=(2, 2))(dict(image=image))
    assert results['image'] is image
    assert results['image_size'] == results['ori_size'] == (5, 7)
    assert 'reduced_from' not in results


def test_load_names_file_and_store_in_errors(store):
    with pytest.raises(ImageDecodeError, match=f'image cut.jpg of {store.path} is truncated'):
        LoadImage()(dict(image_store=store, file_name='cut.jpg'))


@pytest.mark.parametrize('scale', [(250, 180), (160, 400), (97, 61)])
def test_reduced_loading_ends_at_the_same_size(store, scale):
    full = ResizeKeepRatio(scale)(LoadImage()(dict(image_store=store, file_name='large.jpg')))
    reduced = LoadImage(reduce_to=scale)(dict(image_store=store, file_name='large.jpg'))
    assert max(reduced['image_size']) < 642
    assert reduced['ori_size'] == (642, 481)
    reduced = ResizeKeepRatio(scale)(reduced)
    assert reduced['image'].shape == full['image'].shape
    assert reduced['image_size'] == full['image_size']
    assert np.abs(reduced['image'].astype(int) - full['image']).mean() < 2
    again = ResizeKeepRatio((50, 50))(reduced)
    assert max(again['image_size']) == 50


# ---- resizing


@pytest.mark.parametrize(
    'size, expected',
    [  # (w, h) -> (w, h) of the official release
        ((899, 238), (1000, 265)),
        ((1030, 1174), (600, 684)),
        ((1456, 105), (1000, 72)),
        ((1064, 772), (827, 600)),
        ((443, 656), (600, 888)),
        ((1136, 59), (1000, 52)),
        ((427, 640), (600, 899)),
        ((640, 361), (1000, 564)),
    ],
)
def test_resize_has_the_official_sizes(size, expected):
    results = ResizeKeepRatio((1000, 600))(sample(noise(size[1], size[0])))
    assert results['image_size'] == results['image'].shape[:2] == expected[::-1]


@pytest.mark.parametrize(
    'size, scale, expected',
    [  # (w, h), drawn scale -> (h, w) of the official release
        ((640, 480), (1333, 572), (572, 763)),
        ((427, 640), (1333, 437), (655, 437)),
        ((640, 361), (1333, 755), (752, 1333)),
    ],
)
def test_drawn_scales_give_the_official_sizes(size, scale, expected):
    assert resize_keep_ratio(sample(noise(size[1], size[0])), scale)['image_size'] == expected


def test_resize_is_opencv_bilinear_on_uint8():
    image = noise(48, 64)
    expected = cv2.resize(image, (800, 600), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(ResizeKeepRatio((1000, 600))(sample(image))['image'], expected)


def test_extreme_shapes_keep_at_least_one_pixel():
    assert ResizeKeepRatio((100, 60))(sample(noise(1, 4000)))['image_size'] == (1, 100)


def test_random_scale_covers_both_ends_and_follows_the_generator():
    resize = RandomResizeKeepRatio([(52, 40), (50, 42)])
    rng = np.random.default_rng(0)
    drawn = [resize.sample(rng) for _ in range(400)]
    assert {long_edge for long_edge, _ in drawn} == {50, 51, 52}
    assert {short_edge for _, short_edge in drawn} == {40, 41, 42}
    assert len(set(drawn)) == 9
    assert resize.sample(np.random.default_rng(7)) == resize.sample(np.random.default_rng(7))


def test_random_resize_uses_the_draw():
    resize = RandomResizeKeepRatio([(64, 20), (64, 40)])
    long_edge, short_edge = resize.sample(np.random.default_rng(3))
    results = resize(sample(noise(30, 30), rng=np.random.default_rng(3)))
    assert results['image_size'] == (short_edge, short_edge)


def test_random_resize_needs_a_range():
    with pytest.raises(ValueError, match='two scales.*not 1'):
        RandomResizeKeepRatio([(1333, 400)])


# ---- flipping


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a dog left of a cat', 'a dog right of a cat'),
        ('Left of it, to the RIGHT', 'Right of it, to the LEFT'),
        ('the left-hand, leftmost and right-handed one', 'the right-hand, rightmost and left-handed one'),
        ("the bright light upright on the left's right", "the bright light upright on the right's left"),
        ('leftover copyright rights', 'leftover copyright rights'),
    ],
)
def test_swap_sides(text, expected):
    assert swap_sides(text) == expected
    assert swap_sides(expected) == text


def test_flip_mirrors_image_and_sentences_together():
    image, rng = noise(5, 7), np.random.default_rng(0)
    results = RandomFlip(prob=1)(sample(image, rng=rng, sentences=['on the left', 'a cat']))
    assert np.array_equal(results['image'], image[:, ::-1])
    assert results['image'].flags.c_contiguous
    assert results['flipped'] is True
    assert results['sentences'] == ['on the right', 'a cat']


@pytest.mark.parametrize('sentence, changed', [('on the left', True), ('a cat', False)])
def test_prepared_tokens_are_not_those_of_a_sentence_that_a_flip_changed(sentence, changed):
    results = sample(noise(5, 7), rng=np.random.default_rng(0), sentences=[sentence], sentence_rows=[3])
    assert ('sentence_rows' not in RandomFlip(prob=1)(results)) == changed


def test_unflipped_sample_is_untouched():
    image = noise(5, 7)
    results = RandomFlip(prob=0)(sample(image, rng=np.random.default_rng(0), sentences=['on the left']))
    assert results['image'] is image
    assert (results['flipped'], results['sentences']) == (False, ['on the left'])


def test_sentences_stay_if_asked():
    results = RandomFlip(prob=1, swap_words=False)(
        sample(noise(5, 7), rng=np.random.default_rng(0), sentences=['on the left'])
    )
    assert results['sentences'] == ['on the left']


def test_flip_exchanges_answers_that_name_a_side():
    # Answers: left, right, red, and one whose mirror image is no answer.
    mirrored = np.array([1, 0, 2, -1, -1])
    results = RandomFlip(1.0)(
        sample(
            noise(2, 2),
            rng=np.random.default_rng(0),
            sentences=['on the left'],
            answer_labels=np.array([[0, 2], [3, -1]]),
            mirrored_answers=mirrored,
        )
    )
    assert results['answer_labels'].tolist() == [[1, 2], [-1, -1]]
    kept = RandomFlip(1.0, swap_words=False)(
        sample(
            noise(2, 2),
            rng=np.random.default_rng(0),
            sentences=['on the left'],
            answer_labels=np.array([[0]]),
            mirrored_answers=mirrored,
        )
    )
    assert kept['answer_labels'].tolist() == [[0]]


def test_flip_probability_and_number_of_draws():
    rng = np.random.default_rng(0)
    flips = [RandomFlip(0.3)(sample(noise(2, 2), rng=rng))['flipped'] for _ in range(500)]
    assert 0.25 < np.mean(flips) < 0.35
    # Exactly one number is drawn, whatever comes of it: what follows stays the same.
    draws = SimpleNamespace(count=0)
    draws.random = lambda: setattr(draws, 'count', draws.count + 1) or 0.5
    for prob in (0, 0.3, 1):
        RandomFlip(prob)(sample(noise(2, 2), rng=draws))
    assert draws.count == 3
