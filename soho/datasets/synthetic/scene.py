"""Scenes: background, objects and their positions, from which pictures, captions and questions are made.

Everything about an image follows from (seed, split, index). Scenes of
different splits never share their background and objects: a hash of the
scene's attributes decides which split may use it.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from . import shapes

T = TypeVar('T')

SHAPES = tuple(shapes.UNIT_POLYGONS)
COLORS = ('red', 'orange', 'yellow', 'green', 'blue', 'purple', 'black', 'white')
SIZES = ('large', 'small')
TEXTURES = ('plain', 'striped', 'dotted', 'checkered')
BACKGROUNDS = ('grass', 'sand', 'water', 'sky', 'brick', 'wood', 'tiles', 'snow')
ATTRIBUTES = {'size': SIZES, 'color': COLORS, 'texture': TEXTURES, 'shape': SHAPES}

# Diameter as a share of the picture's short side.
DIAMETERS = {'large': (0.30, 0.42), 'small': (0.16, 0.22)}
# Width by height; each is used in both orientations.
PICTURE_SIZES = ((640, 480), (640, 427), (640, 360), (500, 375), (480, 480), (512, 384), (600, 400), (560, 420))
# Pictures of a single object make it easier to learn which word means what.
OBJECT_COUNTS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 6)
# Larger rotations would turn a square into a diamond, and make a heart hard to recognize.
ROTATIONS = {'square': 20, 'heart': 30, 'triangle': 30, 'star': 36, 'circle': 180, 'ring': 180}
MIN_VISIBLE = 0.78

SPLITS = {'train2014': 0, 'val2014': 1, 'test2015': 2, 'visual_genome': 3}
# Quarters of the hash range of each split; Visual Genome is pretraining data, as train2014 is.
_OWNED = {'train2014': (0, 1), 'visual_genome': (0, 1), 'val2014': (2,), 'test2015': (3,)}


@dataclass(frozen=True)
class SceneObject:
    """Object of a scene.

    Attributes:
        shape, color, size, texture: Values of ``ATTRIBUTES``.
        center: Centre (x, y) in pixels.
        diameter: Diameter in pixels.
        rotation: Clockwise rotation in degrees.
    """

    shape: str
    color: str
    size: str
    texture: str
    center: tuple[float, float]
    diameter: float
    rotation: float

    @property
    def polygon(self) -> np.ndarray:
        """Outline, (P, 2) float64 points (x, y) in pixels."""
        return shapes.outline(self.shape, self.center, self.diameter, self.rotation)

    def has(self, description: dict[str, str]) -> bool:
        """Return whether the object has all attribute values of ``description``."""
        for name, value in description.items():
            if getattr(self, name) != value:
                return False
        return True


@dataclass(frozen=True)
class Scene:
    """Contents of one picture.

    Attributes:
        split: A key of ``SPLITS``.
        index: Number of the image in its split, from 0.
        width, height: Size of the picture in pixels.
        background: One of ``BACKGROUNDS``.
        objects: Objects from back to front.
    """

    split: str
    index: int
    width: int
    height: int
    background: str
    objects: tuple[SceneObject, ...] = field(default=())

    @property
    def short_side(self) -> int:
        """Shorter side of the picture in pixels."""
        return min(self.width, self.height)

    def find(self, **description: str) -> list[SceneObject]:
        """Return the objects that match a description such as ``color='red', shape='star'``."""
        return [obj for obj in self.objects if obj.has(description)]

    def key(self) -> str:
        """Background and objects without positions: equal for scenes that one would call the same."""
        return scene_key(self.background, [(t.shape, t.color, t.size, t.texture) for t in self.objects])


def scene_key(background: str, attributes: list[tuple[str, ...]]) -> str:
    """The canonical key of a scene; ``attributes`` holds (shape, color, size, texture) an object."""
    return ';'.join([background, *sorted(' '.join(values) for values in attributes)])


def make_rng(seed: int, split: str, index: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose ('scene', 'picture', ...) of one image."""
    return np.random.default_rng(np.random.SeedSequence([seed, SPLITS[split], index, zlib.crc32(purpose.encode())]))


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Return a random element; far quicker than ``rng.choice``, and keeps the element's type."""
    return choices[int(rng.integers(len(choices)))]


def pick_weighted(rng: np.random.Generator, choices: Sequence[T], cumulative: np.ndarray) -> T:
    """Return a random element; ``cumulative`` holds the sum of the weights up to and with each."""
    return choices[int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side='right'))]


def sample_scene(seed: int, split: str, index: int) -> Scene:
    """Sample a scene of the given split."""
    rng = make_rng(seed, split, index, 'scene')
    while True:
        background = pick(rng, BACKGROUNDS)
        attributes = _sample_attributes(rng)
        if zlib.crc32(scene_key(background, attributes).encode()) % 4 not in _OWNED[split]:
            continue
        width, height = pick(rng, PICTURE_SIZES)
        if rng.random() < 0.35:
            width, height = height, width
        objects = _place(rng, attributes, width, height)
        if objects:
            return Scene(split, index, width, height, background, objects)


def _sample_attributes(rng: np.random.Generator) -> list[tuple[str, ...]]:
    # A theme (most objects red, most of them stars ...) makes counts above two and
    # references by two attributes common; all values stay equally likely.
    theme_name = pick(rng, (None, 'color', 'shape', 'color', 'shape', 'texture', 'size'))
    theme_value = pick(rng, ATTRIBUTES[theme_name]) if theme_name else None
    objects: list[tuple[str, ...]] = []
    for _ in range(pick(rng, OBJECT_COUNTS)):
        values = {name: pick(rng, choices) for name, choices in ATTRIBUTES.items()}
        if theme_name and theme_value and rng.random() < 0.6:
            values[theme_name] = theme_value
        objects.append((values['shape'], values['color'], values['size'], values['texture']))
    return objects


def _place(
    rng: np.random.Generator, attributes: list[tuple[str, ...]], width: int, height: int
) -> tuple[SceneObject, ...] | None:
    """Return objects at positions where each stays visible; None if the picture is too full."""
    scale = 0.25
    mask_size = (int(height * scale), int(width * scale))
    placed, masks, areas, visible = [], [], [], []
    for shape, color, size, texture in attributes:
        low, high = DIAMETERS[size]
        diameter = float(rng.uniform(low, high)) * min(width, height)
        rotation = float(rng.uniform(-1, 1)) * ROTATIONS[shape]
        # Far enough from the border for every point and the outline to be inside.
        margin = 0.62 * diameter + 4
        for _ in range(25):
            center = (float(rng.uniform(margin, width - margin)), float(rng.uniform(margin, height - margin)))
            if any(
                np.hypot(center[0] - other.center[0], center[1] - other.center[1]) < 0.42 * (diameter + other.diameter)
                for other in placed
            ):
                continue
            obj = SceneObject(shape, color, size, texture, center, diameter, rotation)
            mask = shapes.fill(obj.polygon * scale, *mask_size) > 0
            left = [area - int(np.count_nonzero(v & mask)) for v, area in zip(visible, areas)]
            hidden = [now / np.count_nonzero(full) for now, full in zip(left, masks)]
            if all(share >= MIN_VISIBLE for share in hidden):
                visible = [v & ~mask for v in visible]
                areas = left
                placed.append(obj)
                masks.append(mask)
                visible.append(mask)
                areas.append(int(np.count_nonzero(mask)))
                break
        else:
            return None
    return tuple(placed)
