"""Rendering of a scene: background, then each object with its shadow, texture, shading and outline."""

import colorsys

import cv2
import numpy as np

from .backgrounds import apply_light, draw_background
from .scene import Scene, SceneObject, make_rng
from .shapes import SUBPIXEL_BITS, fill, fixed_point

JPEG_QUALITY = 88

# Hue in degrees, saturation and value; then the largest deviation of each.
_HSV = {
    'red': ((357, 0.88, 0.86), (6, 0.08, 0.08)),
    'orange': ((28, 0.94, 0.98), (4, 0.06, 0.02)),
    'yellow': ((54, 0.86, 0.97), (4, 0.10, 0.03)),
    'green': ((132, 0.80, 0.62), (12, 0.12, 0.08)),
    'blue': ((222, 0.86, 0.82), (9, 0.08, 0.10)),
    'purple': ((284, 0.72, 0.62), (9, 0.10, 0.08)),
    'black': ((220, 0.10, 0.13), (60, 0.06, 0.04)),
    'white': ((50, 0.03, 0.97), (40, 0.02, 0.02)),
}


def sample_color(rng: np.random.Generator, name: str) -> np.ndarray:
    """Return a random shade of a named colour, (3,) float32 RGB in 0..255."""
    center, spread = _HSV[name]
    hue, saturation, value = (c + s * u for c, s, u in zip(center, spread, rng.uniform(-1, 1, 3)))
    return np.array(colorsys.hsv_to_rgb(hue / 360 % 1, min(saturation, 1), min(value, 1)), np.float32) * 255


def _second_color(rng: np.random.Generator, name: str, color: np.ndarray) -> np.ndarray:
    """Return the other shade of a texture: clearly different, and still of the same colour name."""
    if name == 'black':
        return color + 80
    if name == 'white':
        return color * 0.66
    darker, lighter = color * 0.5, color * 0.38 + 255 * 0.62
    return lighter if rng.random() < 0.5 else darker


def _texture(rng: np.random.Generator, obj: SceneObject, u: np.ndarray, v: np.ndarray) -> np.ndarray | None:
    """Return the weight of the second shade at each pixel; u and v run along the object's axes, in diameters."""
    if obj.texture == 'plain':
        return None
    phase_u, phase_v, stretch = map(float, rng.uniform((0, 0, 0.92), (1, 1, 1.1)))
    # Texture periods an object; small objects have fewer, so that they survive shrinking.
    periods = {'striped': (3.6, 2.8), 'dotted': (4.4, 3.4), 'checkered': (2.6, 2.0)}[obj.texture]
    periods = periods[obj.size == 'small'] * stretch
    sharpness = obj.diameter / periods
    if obj.texture == 'dotted':
        distance = np.hypot((u * periods + phase_u) % 1 - 0.5, (v * periods + phase_v) % 1 - 0.5)
        return np.clip((0.31 - distance) * sharpness + 0.5, 0, 1)
    wave = np.sin(2 * np.pi * (u * periods + phase_u))
    if obj.texture == 'checkered':
        wave = wave * np.sin(2 * np.pi * (v * periods + phase_v))
    return np.clip(wave * sharpness / 6 + 0.5, 0, 1)


def _draw_object(rng: np.random.Generator, image: np.ndarray, obj: SceneObject, light_direction: np.ndarray) -> None:
    """Draw one object onto (H, W, 3) uint8 in place."""
    height, width = image.shape[:2]
    polygon = obj.polygon
    reach = 0.05 * obj.diameter
    pad = int(3 * reach) + 3
    x0, y0 = np.maximum(np.floor(polygon.min(0)).astype(int) - pad, 0)
    x1, y1 = np.minimum(np.ceil(polygon.max(0)).astype(int) + pad, [width, height])
    local = polygon - [x0, y0]
    # Three planes (3, h, w): one weight map then applies to whole rows of each.
    planes = image[y0:y1, x0:x1].transpose(2, 0, 1).astype(np.float32, order='C')

    shadow = fill(local - light_direction * 1.3 * reach, y1 - y0, x1 - x0)
    shadow = cv2.GaussianBlur(shadow, (0, 0), max(0.7, 0.7 * reach))
    planes *= 1 - shadow * np.float32(0.5 / 255)

    x = (np.arange(x0, x1, dtype=np.float32) - obj.center[0]) / obj.diameter
    y = (np.arange(y0, y1, dtype=np.float32) - obj.center[1])[:, None] / obj.diameter
    cosine, sine = (float(turn(np.deg2rad(obj.rotation))) for turn in (np.cos, np.sin))
    color = sample_color(rng, obj.color)[:, None, None]
    weight = _texture(rng, obj, x * cosine + y * sine, y * cosine - x * sine)
    body = color if weight is None else color + (_second_color(rng, obj.color, color) - color) * weight
    # Brighter towards the light, as on a slightly rounded surface.
    shade = 1 + 0.3 * (x * float(light_direction[0]) + y * float(light_direction[1]))
    body = np.minimum(body * shade, 255)
    alpha = fill(local, y1 - y0, x1 - x0, cv2.LINE_AA) * np.float32(1 / 255)
    planes += (body - planes) * alpha

    edge = color + 110 if obj.color == 'black' else color * 0.45
    rim = np.zeros(alpha.shape, np.uint8)
    thickness = max(1, round(0.028 * obj.diameter))
    cv2.polylines(rim, _closed_contours(obj, local), True, 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    planes += (edge - planes) * (rim * np.float32(0.85 / 255))
    image[y0:y1, x0:x1] = np.clip(planes, 0, 255).transpose(1, 2, 0)


def _closed_contours(obj: SceneObject, polygon: np.ndarray) -> list[np.ndarray]:
    """Return the contours to outline: the polygon, or the two circles of a ring without the slit."""
    parts = np.split(polygon, 2) if obj.shape == 'ring' else [polygon]
    return [fixed_point(part) for part in parts]


def draw_scene(seed: int, scene: Scene) -> np.ndarray:
    """Return the picture of a scene, (height, width, 3) uint8 RGB."""
    rng = make_rng(seed, scene.split, scene.index, 'picture')
    image = draw_background(rng, scene.background, scene.width, scene.height)
    angle = np.deg2rad(rng.uniform(-150, -30))
    light_direction = np.array([np.cos(angle), np.sin(angle)])
    for obj in scene.objects:
        _draw_object(rng, image, obj, light_direction)
    return apply_light(rng, image)


def encode_jpeg(image: np.ndarray) -> bytes:
    """Return the JPEG file of an (H, W, 3) uint8 RGB picture."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
