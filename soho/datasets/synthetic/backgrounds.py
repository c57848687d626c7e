"""Eight kinds of background as procedural textures.

A texture tile takes tens of milliseconds, so that each process keeps a few of each kind,
and a picture shows a random crop, scaled, flipped and tinted, with lighting and grain.
"""

import functools

import cv2
import numpy as np

TILE = 800
VARIANTS = 3
GRAIN = 1024


def _noise(rng: np.random.Generator, cells_y: int, cells_x: int, octaves: int = 3) -> np.ndarray:
    """Return smooth noise of several octaves, (TILE, TILE) float32, zero mean, unit variance."""
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(octaves):
        grid = rng.standard_normal((cells_y << octave, cells_x << octave)).astype(np.float32)
        total += cv2.resize(grid, (TILE, TILE), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.mean()) / total.std()


def _mix(low: tuple, high: tuple, weight: np.ndarray) -> np.ndarray:
    """Return a blend of two colours, (TILE, TILE, 3) float32."""
    weight = np.clip(weight, 0, 1)[..., None].astype(np.float32)
    return np.asarray(low, np.float32) * (1 - weight) + np.asarray(high, np.float32) * weight


def _grass(rng: np.random.Generator) -> np.ndarray:
    tile = _mix((62, 92, 34), (104, 132, 58), 0.5 + 0.25 * _noise(rng, 6, 6, 4))
    for x, y, lean, length, shade in zip(*rng.integers(0, TILE, (2, 9000)), *rng.random((3, 9000))):
        tip = (int(x + 16 * (lean - 0.5)), int(y - 6 - 12 * length))
        color = (60 + 70 * shade, 92 + 66 * shade, 36 + 34 * shade)
        cv2.line(tile, (int(x), int(y)), tip, color, 1, cv2.LINE_AA)
    return tile


def _sand(rng: np.random.Generator) -> np.ndarray:
    waves = np.sin(np.arange(TILE, dtype=np.float32)[:, None] / 9 + 1.6 * _noise(rng, 3, 3, 2))
    tile = _mix((188, 160, 116), (226, 202, 158), 0.5 + 0.16 * waves + 0.16 * _noise(rng, 5, 5))
    return tile + 7 * rng.standard_normal((TILE, TILE, 1)).astype(np.float32)


def _water(rng: np.random.Generator) -> np.ndarray:
    rows = np.arange(TILE, dtype=np.float32)[:, None]
    waves = np.sin(rows / 7 + 2.4 * _noise(rng, 10, 4, 2))
    waves += 0.7 * np.sin(rows / 13 + 2 * _noise(rng, 6, 3, 2))
    tile = _mix((44, 108, 128), (104, 168, 180), 0.45 + 0.17 * waves + 0.12 * _noise(rng, 3, 3))
    return tile + 60 * np.clip(waves - 1.15, 0, 1)[..., None]


def _sky(rng: np.random.Generator) -> np.ndarray:
    height = np.linspace(0, 1, TILE, dtype=np.float32)[:, None] * np.ones((1, TILE), np.float32)
    tile = _mix((122, 176, 222), (186, 214, 234), height)
    clouds = np.clip(0.7 * _noise(rng, 5, 3, 5) - 0.1, 0, 1)[..., None]
    return tile * (1 - clouds) + np.array((238, 241, 245), np.float32) * clouds


def _masonry(
    rng: np.random.Generator, rows: int, columns: int, shift: bool, joint: int, faces: np.ndarray, joint_color: tuple
) -> np.ndarray:
    """Return bricks or tiles: faces of slightly different colour with joints and a lit upper edge."""
    tile = np.empty((TILE, TILE, 3), np.float32)
    tile[:] = joint_color
    row_height, column_width = TILE / rows, TILE / columns
    for row in range(rows):
        offset = column_width / 2 if shift and row % 2 else 0
        top, bottom = int(row * row_height) + joint, int((row + 1) * row_height)
        for column in range(-1, columns):
            left = max(0, int(column * column_width + offset) + joint)
            right = int((column + 1) * column_width + offset)
            if right <= left:
                continue
            face = faces[int(rng.integers(len(faces)))] + rng.normal(0, 5)
            tile[top:bottom, left:right] = face
            tile[top : top + 2, left:right] = face + 16
            tile[bottom - 2 : bottom, left:right] = face - 18
    return tile + 6 * _noise(rng, 20, 20, 3)[..., None]


def _brick(rng: np.random.Generator) -> np.ndarray:
    faces = np.array([(152, 84, 66), (138, 74, 60), (164, 98, 78), (126, 72, 62)], np.float32)
    rows = int(rng.integers(16, 23))
    return _masonry(rng, rows, rows // 2, True, 4, faces, (186, 178, 168)) + 6 * rng.standard_normal(
        (TILE, TILE, 1)
    ).astype(np.float32)


def _tiles(rng: np.random.Generator) -> np.ndarray:
    hue = rng.uniform(-1, 1)
    base = np.array((196 + 10 * hue, 202, 206 - 12 * hue), np.float32)
    faces = np.stack([base, base - 12, base + 8])
    count = int(rng.integers(7, 11))
    return _masonry(rng, count, count, False, 5, faces, (140, 142, 144))


def _wood(rng: np.random.Generator) -> np.ndarray:
    planks = int(rng.integers(7, 10))
    tile = np.empty((TILE, TILE, 3), np.float32)
    edges = np.linspace(0, TILE, planks + 1).astype(int)
    for top, bottom in zip(edges[:-1], edges[1:]):
        grain = _noise(rng, 70, 3, 2)[: bottom - top]
        rings = np.sin(6 * _noise(rng, 8, 1, 1)[: bottom - top])
        weight = 0.5 + 0.18 * grain + 0.1 * rings + rng.normal(0, 0.14)
        tile[top:bottom] = _mix((116, 80, 50), (182, 138, 92), weight)
        tile[top : top + 3] *= 0.55
        joint = int(rng.integers(0, TILE - 3))
        tile[top:bottom, joint : joint + 3] *= 0.6
    return tile


def _snow(rng: np.random.Generator) -> np.ndarray:
    tile = _mix((186, 200, 220), (236, 240, 246), 0.55 + 0.24 * _noise(rng, 3, 4, 4))
    sparkle = rng.random((TILE, TILE, 1)) > 0.996
    return tile + 4 * rng.standard_normal((TILE, TILE, 1)).astype(np.float32) + 18 * sparkle


_MAKERS = dict(grass=_grass, sand=_sand, water=_water, sky=_sky, brick=_brick, wood=_wood, tiles=_tiles, snow=_snow)


@functools.cache
def _tile(kind: str, variant: int) -> np.ndarray:
    """Return a texture, (TILE, TILE, 3) uint8 RGB; it is the same in every data set."""
    rng = np.random.default_rng([*kind.encode(), variant])
    return np.clip(_MAKERS[kind](rng), 0, 255).astype(np.uint8)


@functools.cache
def _grain() -> np.ndarray:
    """Return camera noise to crop from, (GRAIN, GRAIN, 3) float32."""
    grain = np.random.default_rng(7).normal(0, 4, (GRAIN, GRAIN, 3)).astype(np.float32)
    return cv2.GaussianBlur(grain, (3, 3), 0.6)


def draw_background(rng: np.random.Generator, kind: str, width: int, height: int) -> np.ndarray:
    """Return a background, (height, width, 3) uint8 RGB, without lighting and grain."""
    tile = _tile(kind, int(rng.integers(VARIANTS)))
    scale = float(rng.uniform(0.75, 1.2))
    crop_w, crop_h = min(TILE, int(width * scale)), min(TILE, int(height * scale))
    left, top = int(rng.integers(TILE - crop_w + 1)), int(rng.integers(TILE - crop_h + 1))
    piece = cv2.resize(tile[top : top + crop_h, left : left + crop_w], (width, height))
    if rng.random() < 0.5:
        piece = cv2.flip(piece, 1)
    tint = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.85, 1.08)
    table = np.minimum(np.arange(256)[:, None] * tint, 255).astype(np.uint8)
    return cv2.LUT(piece, table[None])


def apply_light(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return the picture, (H, W, 3) uint8, with uneven lighting and camera grain."""
    height, width = image.shape[:2]
    corners = np.repeat(rng.uniform(0.84, 1.12, (2, 2, 1)), 3, axis=2).astype(np.float32)
    brightness = cv2.resize(corners, (width, height))
    grain = _grain()
    top, left = int(rng.integers(GRAIN - height)), int(rng.integers(GRAIN - width))
    return cv2.addWeighted(
        cv2.multiply(image, brightness, dtype=cv2.CV_32F),
        1,
        grain[top : top + height, left : left + width],
        float(rng.uniform(0.4, 1.3)),
        0,
        dtype=cv2.CV_8U,
    )
