"""VirTex's crops and colours."""

import cv2
import numpy as np
import pytest

from soho.datasets.transforms import (
    CenterCrop,
    ColorJitter,
    RandomFlip,
    RandomResizedCrop,
    ResizeShortEdge,
    augmentation,
)
from soho.datasets.transforms.augmentation import jitter


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    'size, expected',
    [  # (h, w) of the official release
        ((480, 640), (256, 341)),
        ((640, 480), (341, 256)),
        ((427, 640), (256, 384)),
        ((333, 500), (256, 384)),
        ((256, 256), (256, 256)),
        ((257, 256), (257, 256)),
        ((255, 1000), (256, 1004)),
        ((100, 33), (776, 256)),
        ((1, 1), (256, 256)),
    ],
)
def test_the_short_edge_is_resized_as_officially(size, expected):
    image = noise(*size)
    results = ResizeShortEdge(256)(dict(image=image))
    assert results['image_size'] == results['image'].shape[:2] == expected
    assert np.array_equal(results['image'], cv2.resize(image, expected[::-1], interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize('size, origin', [((256, 384), (16, 80)), ((256, 383), (16, 79)), ((257, 256), (16, 16))])
def test_the_middle_is_where_it_is_officially(size, origin):
    image = noise(*size)
    results = CenterCrop(224)(dict(image=image))
    assert results['image_size'] == (224, 224) and results['image'].flags.c_contiguous
    assert np.array_equal(results['image'], image[origin[0] : origin[0] + 224, origin[1] : origin[1] + 224])


def test_an_image_decoded_at_reduced_scale_ends_at_the_same_size():
    results = ResizeShortEdge(100)(dict(image=noise(214, 320), reduced_from=(427, 640)))
    assert results['image_size'] == (100, 150) and 'reduced_from' not in results
    results = ResizeShortEdge(30)(results)
    assert results['image_size'] == (30, 45)


def test_a_small_image_has_no_middle():
    with pytest.raises(ValueError, match='takes 224 x 224 pixels, but the image has 300 x 200'):
        CenterCrop(224)(dict(image=noise(200, 300)))


def test_crops_are_in_range_and_follow_from_the_generator():
    crop, stream = RandomResizedCrop(8, scale=(0.2, 0.5), ratio=(0.75, 1.333)), rng()
    parts = np.array([crop.sample((120, 160), stream) for _ in range(2000)])
    top, left, height, width = parts.T
    assert (top >= 0).all() and (left >= 0).all() and (top + height).max() <= 120 and (left + width).max() <= 160
    area, ratio = height * width / (120 * 160), width / height
    assert 0.19 < area.min() < 0.21 and 0.47 < area.max() < 0.51
    assert 0.73 < ratio.min() < 0.77 and 1.30 < ratio.max() < 1.37
    assert top.min() == left.min() == 0, 'the upper left corner is reached'
    assert (top + height == 120).any() and (left + width == 160).any(), 'and the lower right one'
    image = noise(120, 160)
    first, again = (crop(dict(image=image, rng=rng(3)))['image'] for _ in range(2))
    assert first.shape == (8, 8, 3) and np.array_equal(first, again)


@pytest.mark.parametrize('size, part', [((10, 1000), (0, 493, 10, 13)), ((1000, 10), (493, 0, 13, 10))])
def test_what_fits_nowhere_is_the_largest_part_in_the_middle(size, part):
    assert RandomResizedCrop(scale=(0.9, 1.0), ratio=(0.75, 1.333)).sample(size, rng()) == part


def test_colours_by_their_formulas():
    """The official tables truncate, so one grey level below may come out where a product is not exact."""
    image = noise(6, 7)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    values = image.astype(float)
    for name, factor, expected in (
        ('brightness', 1.3, values * 1.3),
        ('brightness', 0.5, values * 0.5),
        ('contrast', 0.6, values * 0.6 + grey.mean() * 0.4),
        ('contrast', 1.4, values * 1.4 - grey.mean() * 0.4),
        ('saturation', 0.0, np.repeat(grey[..., None], 3, 2)),
        ('saturation', 1.4, values * 1.4 - grey[..., None] * 0.4),
    ):
        ours = jitter(image, {name: factor})
        assert ours.dtype == np.uint8
        assert np.abs(ours - np.clip(expected, 0, 255)).max() <= 1, name
    red = np.full((2, 2, 3), (200, 0, 0), np.uint8)
    assert jitter(red, dict(hue=1 / 3))[0, 0].tolist() == [0, 200, 0]
    assert jitter(red, dict(hue=-1 / 3))[0, 0].tolist() == [0, 0, 200]


def test_neutral_factors_change_nothing():
    image = noise(5, 5)
    assert jitter(image, dict(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0)) is image


def test_colours_change_in_any_order_with_their_probability():
    image = noise(6, 6)
    transform, results = ColorJitter(0.4, 0.4, 0.4, 0.1, prob=0.5), []
    for seed in range(200):
        results.append(transform(dict(image=image, rng=rng(seed)))['image'])
    untouched = np.mean([np.array_equal(result, image) for result in results])
    assert 0.4 < untouched < 0.6
    assert np.array_equal(results[7], transform(dict(image=image, rng=rng(7)))['image'])


def test_every_order_of_colours_comes_up(monkeypatch):
    orders = set()
    monkeypatch.setattr(augmentation, 'jitter', lambda image, factors: orders.add(tuple(factors)))
    for seed in range(300):
        ColorJitter(prob=1.0)(dict(image=None, rng=rng(seed)))
    assert len(orders) == 24


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a bright red bus turning right', 'a bleft red bus turning left'),
        ('Left and RIGHT stay', 'Left and RIGHT stay'),
        ('leftright', 'rightleft'),
        ('[TMP] left', 'right right'),
        ('a left turn, right?', 'a right turn, left?'),
    ],
)
def test_the_official_flip_swaps_letters(text, expected):
    flip = RandomFlip(prob=1, within_words=True)
    assert flip(dict(image=noise(2, 2), flipped=False, rng=rng(), sentences=[text]))['sentences'] == [expected]
