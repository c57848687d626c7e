"""Polygons of the six shapes, used for rendering, occlusion and masks.

A unit polygon is centred on the origin and about 1 wide, y pointing down. Each
shape is one closed polygon; the ring is joined to its hole by a slit of no
width, so that fills, masks and COCO polygons need no second contour.
"""

import cv2
import numpy as np

SUBPIXEL_BITS = 4


def _arc(radius: float, start: float, stop: float, points: int = 48) -> np.ndarray:
    """Return points on a circle around the origin, angles in degrees, both ends included."""
    angle = np.deg2rad(np.linspace(start, stop, points))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _star() -> np.ndarray:
    angle = np.deg2rad(np.arange(10) * 36 - 90)
    radius = np.where(np.arange(10) % 2 == 0, 0.56, 0.25)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2.5], axis=1) / 32


UNIT_POLYGONS = {
    'circle': _arc(0.5, 0, 352.5),
    'square': np.array([[-0.44, -0.44], [0.44, -0.44], [0.44, 0.44], [-0.44, 0.44]]),
    'triangle': _arc(0.58, -90, 150, 3),
    'star': _star(),
    'heart': _heart(),
    'ring': np.concatenate([_arc(0.5, 0, 360), _arc(0.27, 360, 0)]),
}


def outline(shape: str, center: tuple[float, float], diameter: float, rotation: float) -> np.ndarray:
    """Return the polygon of an object in pixels.

    Args:
        shape: A key of ``UNIT_POLYGONS``.
        center: Centre (x, y) in pixels.
        diameter: Width of the unit polygon in pixels.
        rotation: Clockwise rotation in degrees.

    Returns:
        (P, 2) float64 points (x, y).
    """
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return UNIT_POLYGONS[shape] @ turn * diameter + np.asarray(center)


def fixed_point(polygon: np.ndarray) -> np.ndarray:
    """Return polygon points as OpenCV's fixed-point integers with ``SUBPIXEL_BITS`` fractional bits."""
    return np.round(polygon * (1 << SUBPIXEL_BITS)).astype(np.int32)


def fill(polygon: np.ndarray, height: int, width: int, line_type: int = cv2.LINE_8) -> np.ndarray:
    """Return the filled polygon, (height, width) uint8, 255 inside; antialiased with ``cv2.LINE_AA``."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [fixed_point(polygon)], 255, line_type, SUBPIXEL_BITS)
    return mask
