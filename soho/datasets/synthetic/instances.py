"""COCO instances of a scene: what is visible of each object, as a mask, a box and an area."""

import numpy as np

from .scene import Scene
from .shapes import fill


def visible_masks(scene: Scene) -> list[np.ndarray]:
    """(height, width) bool for each object, without what lies on top of it."""
    covered = np.zeros((scene.height, scene.width), bool)
    masks = []
    for thing in reversed(scene.things):
        full = fill(thing.polygon, scene.height, scene.width) > 0
        masks.append(full & ~covered)
        covered |= full
    return masks[::-1]


def _run_lengths(mask: np.ndarray) -> dict:
    """A mask as COCO's uncompressed RLE: column by column, starting with zeros."""
    flat = np.asfortranarray(mask).ravel(order='F')
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return dict(size=list(mask.shape), counts=[0, *counts] if flat[0] else counts)


def instances(scene: Scene) -> list[dict]:
    """For each object ``segmentation``, ``area``, ``bbox`` (x, y, width, height) and ``iscrowd``.

    The segmentation is a polygon, or run lengths where another object covers a part.
    """
    result = []
    for thing, mask in zip(scene.things, visible_masks(scene)):
        polygon = thing.polygon
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
