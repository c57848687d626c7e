"""Scenes follow from their numbers, stay apart between splits, and show every object well."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from soho.datasets.synthetic.draw import draw_scene, encode_jpeg
from soho.datasets.synthetic.instances import visible_masks
from soho.datasets.synthetic.scene import BACKGROUNDS, COLORS, SHAPES, sample_scene
from soho.datasets.synthetic.shapes import fill

SCENES = [sample_scene(0, split, index) for split in ('train2014', 'val2014', 'test2015') for index in range(100)]


def test_scene_and_picture_follow_from_seed_split_and_index():
    once, again = sample_scene(3, 'val2014', 7), sample_scene(3, 'val2014', 7)
    assert once == again
    assert encode_jpeg(draw_scene(3, once)) == encode_jpeg(draw_scene(3, again))
    assert once != sample_scene(4, 'val2014', 7)
    assert once != sample_scene(3, 'val2014', 8)


def test_splits_share_no_scene_even_apart_from_positions():
    # Equal keys have equal hashes: splits of different hashes cannot meet, whatever their sizes.
    owned = {
        split: {zlib.crc32(sample_scene(0, split, index).key().encode()) % 4 for index in range(100)}
        for split in ('train2014', 'val2014', 'test2015', 'visual_genome')
    }
    assert owned == {'train2014': {0, 1}, 'val2014': {2}, 'test2015': {3}, 'visual_genome': {0, 1}}


def test_the_key_of_a_scene_forgets_positions_and_order():
    scene = SCENES[0]
    moved = [replace(obj, center=(9.0, 9.0), diameter=5.0, rotation=0.0) for obj in reversed(scene.objects)]
    assert replace(scene, objects=tuple(moved), width=1).key() == scene.key()
    recolored = replace(scene.objects[0], color='?')
    assert replace(scene, objects=(recolored, *scene.objects[1:])).key() != scene.key()


def test_objects_are_visible_inside_and_of_the_size_they_are_called():
    for scene in SCENES:
        for obj, mask in zip(scene.objects, visible_masks(scene)):
            whole = fill(obj.polygon, scene.height, scene.width) > 0
            assert mask.sum() >= 0.75 * whole.sum()
            assert (obj.polygon > 0).all() and (obj.polygon < [scene.width, scene.height]).all()
            share = obj.diameter / min(scene.width, scene.height)
            assert 0.30 <= share <= 0.42 if obj.size == 'large' else 0.16 <= share <= 0.22


def test_scenes_vary():
    assert {scene.background for scene in SCENES} == set(BACKGROUNDS)
    assert {len(scene.objects) for scene in SCENES} == {1, 2, 3, 4, 5, 6}
    assert {obj.shape for scene in SCENES for obj in scene.objects} == set(SHAPES)
    assert {obj.color for scene in SCENES for obj in scene.objects} == set(COLORS)
    sizes = {(scene.width, scene.height) for scene in SCENES}
    assert {(640, 480), (480, 640), (640, 360), (480, 480)} <= sizes
    assert all(480 <= max(size) <= 640 for size in sizes)


@pytest.mark.parametrize('index', range(6))
def test_plain_objects_have_their_colour_in_the_picture(index):
    hues = {
        'red': (1, 0, 0),
        'orange': (1, 0.45, 0),
        'yellow': (1, 0.9, 0.15),
        'green': (0.1, 0.6, 0.2),
        'blue': (0.1, 0.3, 0.85),
        'purple': (0.5, 0.2, 0.6),
        'black': (0.1, 0.1, 0.1),
        'white': (0.95, 0.95, 0.95),
    }
    scene = sample_scene(1, 'train2014', index)
    image = draw_scene(1, scene)
    assert image.shape == (scene.height, scene.width, 3) and image.dtype == np.uint8
    for obj, mask in zip(scene.objects, visible_masks(scene)):
        if obj.texture == 'plain' and obj.size == 'large':
            median = np.median(image[mask], axis=0) / 255
            nearest = min(hues, key=lambda name: np.abs(median - hues[name]).sum())
            assert nearest == obj.color
