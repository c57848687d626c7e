"""Objects of many images in flat arrays: boxes, labels and outlines.

Forked workers share flat arrays without copying them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from soho.errors import UserError

Rings = list[np.ndarray]


class ObjectTable:
    """Objects of an annotation file, image by image.

    Args:
        outlines: Whether objects have outlines.
    """

    def __init__(self, outlines: bool) -> None:
        self.dropped = 0
        self._boxes: list[tuple[float, ...]] = []
        self._labels: list[int] = []
        self._image_ends = [0]
        self._points: list[np.ndarray] | None = [] if outlines else None
        self._ring_ends: list[int] = [0]
        self._object_rings: list[int] = [0]

    def add_image(self, objects: Sequence[tuple[Sequence[float], int, Rings]], height: int, width: int) -> None:
        """Append the objects of the next image, each (x0, y0, x1, y1), label and outline.

        Boxes are clipped to the image; objects that become empty are dropped and counted.
        """
        for box, label, rings in objects:
            x0, x1 = max(box[0], 0), min(box[2], width)
            y0, y1 = max(box[1], 0), min(box[3], height)
            if not (x1 > x0 and y1 > y0):
                self.dropped += 1
                continue
            self._boxes.append((x0, y0, x1, y1))
            self._labels.append(label)
            if self._points is not None:
                for ring in rings:
                    self._points.append(np.asarray(ring, np.float32))
                    self._ring_ends.append(self._ring_ends[-1] + len(ring))
                self._object_rings.append(len(self._ring_ends) - 1)
        self._image_ends.append(len(self._labels))

    def finish(self) -> None:
        """Pack the objects into flat arrays; after this none can be added."""
        self.boxes = np.asarray(self._boxes, np.float32).reshape(-1, 4)
        self.labels = np.asarray(self._labels, np.int64)
        self.image_ends = np.asarray(self._image_ends, np.int64)
        if self._points is not None:
            self.points = np.concatenate(self._points) if self._points else np.zeros((0, 2), np.float32)
            self.ring_ends = np.asarray(self._ring_ends, np.int64)
            self.object_rings = np.asarray(self._object_rings, np.int64)
        self.has_outlines = self._points is not None
        del self._boxes, self._labels, self._image_ends, self._points, self._ring_ends, self._object_rings

    def of_image(self, image: int) -> dict[str, Any]:
        """``boxes`` (K, 4) float32, ``box_labels`` (K,) int64 and ``outlines``, the edges (E, 4) of each object."""
        part = slice(*self.image_ends[image : image + 2])
        objects: dict[str, Any] = dict(boxes=self.boxes[part], box_labels=self.labels[part])
        if self.has_outlines:
            objects['outlines'] = [self.edges(i) for i in range(part.start, part.stop)]
        return objects

    def edges(self, index: int) -> np.ndarray:
        """(E, 4) float32, (x0, y0, x1, y1) of every edge of an object's outline."""
        rings = range(*self.object_rings[index : index + 2])
        edges = [
            np.concatenate([ring, np.roll(ring, -1, 0)], 1)
            for ring in (self.points[slice(*self.ring_ends[r : r + 2])] for r in rings)
        ]
        return np.concatenate(edges) if edges else np.zeros((0, 4), np.float32)


def outline(segmentation: Any, height: int, width: int) -> Rings:
    """Rings around an object, all in the same direction, so that the object is the union of their interiors.

    Args:
        segmentation: As in COCO's json: polygons, each [x, y, x, y, ...]; or run lengths, compressed or not.
        height, width: Size of the image.

    Returns:
        (P, 2) float rings; for run lengths, one around each run.

    Raises:
        ValueError: ``segmentation`` is neither, or a polygon has an odd number of values or fewer than three points.
    """
    if isinstance(segmentation, dict):
        return list(_runs(segmentation, height, width))
    if not isinstance(segmentation, list):
        raise UserError(f'a segmentation is a list of polygons or a dict of run lengths, not {segmentation!r:.40}')
    rings = []
    for polygon in segmentation:
        if len(polygon) % 2 or len(polygon) < 6:
            raise UserError(f'a polygon of {len(polygon)} values; it should have x and y of at least three points')
        ring = np.asarray(polygon, np.float64).reshape(-1, 2)
        x, y = ring.T
        area = x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]  # twice, with a sign
        rings.append(ring if area >= 0 else ring[::-1])
    return rings


def _runs(segmentation: dict[str, Any], height: int, width: int) -> Iterator[np.ndarray]:
    from pycocotools import mask as coco_mask

    if isinstance(segmentation['counts'], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    bitmap = coco_mask.decode(segmentation)
    steps = np.diff(bitmap.astype(np.int8), axis=0, prepend=0, append=0)  # columns begin at +1 and end at -1
    begins, ends = np.argwhere(steps.T == 1), np.argwhere(steps.T == -1)
    for (x, top), (_, bottom) in zip(begins, ends):
        yield np.array([(x, top), (x + 1, top), (x + 1, bottom), (x, bottom)])
