"""A scene: which objects lie where on which background, before anything is drawn or said.

Everything about an image follows from (seed, split, index). Scenes of
different splits never share their background and objects: a hash of the
scene's attributes says which split may own it.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from . import shapes

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
# Pictures of a single object are where words are learnt, as in any picture book.
OBJECT_COUNTS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 6)
# Larger turns would make a square a diamond, and a heart hard to tell.
ROTATIONS = {'square': 20, 'heart': 30, 'triangle': 30, 'star': 36, 'circle': 180, 'ring': 180}
MIN_VISIBLE = 0.78

SPLITS = {'train2014': 0, 'val2014': 1, 'test2015': 2, 'visual_genome': 3}
# Quarters of the hash range that a split owns; Visual Genome is pretraining data, as train2014 is.
_OWNED = {'train2014': (0, 1), 'visual_genome': (0, 1), 'val2014': (2,), 'test2015': (3,)}


@dataclass(frozen=True)
class Thing:
    """One object.

    Attributes:
        shape, color, size, texture: Values of ``ATTRIBUTES``.
        centre: (x, y) in pixels.
        diameter: In pixels.
        rotation: Clockwise, in degrees.
    """

    shape: str
    color: str
    size: str
    texture: str
    centre: tuple[float, float]
    diameter: float
    rotation: float

    @property
    def polygon(self) -> np.ndarray:
        """(P, 2) float64 points (x, y) in pixels."""
        return shapes.outline(self.shape, self.centre, self.diameter, self.rotation)

    def has(self, description: dict[str, str]) -> bool:
        """Whether every attribute named in ``description`` has the value given there."""
        for name, value in description.items():
            if getattr(self, name) != value:
                return False
        return True


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    Attributes:
        split: A key of ``SPLITS``.
        index: Number of the image in its split, from 0.
        width, height: Of the picture, in pixels.
        background: One of ``BACKGROUNDS``.
        things: The objects from back to front.
    """

    split: str
    index: int
    width: int
    height: int
    background: str
    things: tuple[Thing, ...] = field(default=())

    @property
    def short_side(self) -> int:
        return min(self.width, self.height)

    def find(self, **description: str) -> list[Thing]:
        """The objects that fit a description such as ``color='red', shape='star'``."""
        return [thing for thing in self.things if thing.has(description)]

    def key(self) -> str:
        """Background and objects without positions: equal for scenes that one would call the same."""
        return scene_key(self.background, [(t.shape, t.color, t.size, t.texture) for t in self.things])


def scene_key(background: str, attributes: list[tuple[str, ...]]) -> str:
    """The canonical key of a scene; ``attributes`` holds (shape, color, size, texture) an object."""
    return ';'.join([background, *sorted(' '.join(values) for values in attributes)])


def stream(seed: int, split: str, index: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose ('scene', 'picture', ...) of one image."""
    return np.random.default_rng(np.random.SeedSequence([seed, SPLITS[split], index, zlib.crc32(purpose.encode())]))


def pick(rng: np.random.Generator, choices):
    """One of a sequence; far quicker than ``rng.choice``, and keeps the element's type."""
    return choices[int(rng.integers(len(choices)))]


def sample_scene(seed: int, split: str, index: int) -> Scene:
    """Draws a scene of the given split."""
    rng = stream(seed, split, index, 'scene')
    while True:
        background = pick(rng, BACKGROUNDS)
        attributes = _sample_attributes(rng)
        if zlib.crc32(scene_key(background, attributes).encode()) % 4 not in _OWNED[split]:
            continue
        width, height = pick(rng, PICTURE_SIZES)
        if rng.random() < 0.35:
            width, height = height, width
        things = _place(rng, attributes, width, height)
        if things:
            return Scene(split, index, width, height, background, things)


def _sample_attributes(rng: np.random.Generator) -> list[tuple[str, ...]]:
    # A theme (most objects red, most of them stars ...) makes counts above two and
    # references by two attributes common; all values stay equally likely.
    theme_name = pick(rng, (None, 'color', 'shape', 'color', 'shape', 'texture', 'size'))
    theme_value = pick(rng, ATTRIBUTES[theme_name]) if theme_name else None
    things = []
    for _ in range(pick(rng, OBJECT_COUNTS)):
        values = {name: pick(rng, choices) for name, choices in ATTRIBUTES.items()}
        if theme_name and rng.random() < 0.6:
            values[theme_name] = theme_value
        things.append((values['shape'], values['color'], values['size'], values['texture']))
    return things


def _place(
    rng: np.random.Generator, attributes: list[tuple[str, ...]], width: int, height: int
) -> tuple[Thing, ...] | None:
    """Puts objects where each stays visible; None where the picture is too full for them."""
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
            centre = (float(rng.uniform(margin, width - margin)), float(rng.uniform(margin, height - margin)))
            if any(
                np.hypot(centre[0] - other.centre[0], centre[1] - other.centre[1]) < 0.42 * (diameter + other.diameter)
                for other in placed
            ):
                continue
            thing = Thing(shape, color, size, texture, centre, diameter, rotation)
            mask = shapes.fill(thing.polygon * scale, *mask_size) > 0
            left = [area - int(np.count_nonzero(v & mask)) for v, area in zip(visible, areas)]
            hidden = [now / np.count_nonzero(full) for now, full in zip(left, masks)]
            if all(share >= MIN_VISIBLE for share in hidden):
                visible = [v & ~mask for v in visible]
                areas = left
                placed.append(thing)
                masks.append(mask)
                visible.append(mask)
                areas.append(int(np.count_nonzero(mask)))
                break
        else:
            return None
    return tuple(placed)
