"""COCO instances of a scene: mask, box and area of the visible part of each object."""

import numpy as np

from .scene import Scene
from .shapes import fill


def visible_masks(scene: Scene) -> list[np.ndarray]:
    """Return the visible mask of each object, (height, width) bool."""
    covered = np.zeros((scene.height, scene.width), bool)
    masks = []
    for obj in reversed(scene.objects):
        full = fill(obj.polygon, scene.height, scene.width) > 0
        masks.append(full & ~covered)
        covered |= full
    return masks[::-1]


def _run_lengths(mask: np.ndarray) -> dict:
    """Return a mask as COCO's uncompressed RLE: column by column, starting with zeros."""
    flat = np.asfortranarray(mask).ravel(order='F')
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return dict(size=list(mask.shape), counts=[0, *counts] if flat[0] else counts)


def make_instances(scene: Scene) -> list[dict]:
    """Return ``segmentation``, ``area``, ``bbox`` (x, y, width, height) and ``iscrowd`` of each object.

    The segmentation is a polygon, or an RLE where another object covers a part.
    """
    result = []
    for obj, mask in zip(scene.objects, visible_masks(scene)):
        polygon = obj.polygon
        area = int(np.count_nonzero(mask))
        whole = area == int(np.count_nonzero(fill(polygon, scene.height, scene.width)))
        if whole:
            segmentation = [np.round(polygon, 2).ravel().tolist()]
            (left, top), (right, bottom) = polygon.min(0), polygon.max(0)
        else:
            segmentation = _run_lengths(mask)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        bbox = [round(float(value), 2) for value in (left, top, right - left, bottom - top)]
        result.append(dict(segmentation=segmentation, area=area, bbox=bbox, iscrowd=0))
    return result
