"""Objects of many images in flat arrays: boxes, labels and outlines, and what is checked of each object.

Forked workers share flat arrays without copying them.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np

from soho.datasets.records import CategoryOfImage, RunLengths, Segmentation
from soho.errors import UserError, quote
from soho.files import PathLike

Rings = list[np.ndarray]

MAX_MASK = 1 << 26
"""Pixels of the largest mask that is read from run lengths."""
MAX_SIDE = (1 << 16) - 1
"""Pixels of the longest side of an image with polygons, whose area pycocotools counts in 32 bits."""


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


def check_object(item: CategoryOfImage, images: Container, categories: Container, source: PathLike) -> None:
    """Check that the image and the category of an object are listed in its file.

    Args:
        item: The object.
        images: Ids of the images that the file lists.
        categories: Ids of the categories that it lists.
        source: The file, for the message.

    Raises:
        UserError: They are not.
    """
    if item.image_id not in images:
        raise UserError(f'{source}: image {quote(item.image_id)} has an object, but the list of images lacks it')
    if item.category_id not in categories:
        raise UserError(f'{describe_object(item, source)}, which the list of categories lacks')


def describe_object(item: CategoryOfImage, source: PathLike) -> str:
    """Return how a sentence about a faulty object begins: ``FILE: image 7 has an object of category 3``."""
    return f'{source}: image {quote(item.image_id)} has an object of category {item.category_id}'


def outline(segmentation: Segmentation | None, height: int, width: int) -> Rings:
    """Rings around an object, all in the same direction, so that the object is the union of their interiors.

    Args:
        segmentation: Polygons, each [x, y, x, y, ...], or run lengths.
        height, width: Size of the image.

    Returns:
        (P, 2) float rings; for run lengths, one around each run.

    Raises:
        UserError: There is no segmentation, a polygon has an odd number of values or fewer than three points or lies
            far outside of the image, or run lengths are not those of a mask of this size.
    """
    if segmentation is None:
        raise UserError('a segmentation is a list of polygons or a dict of run lengths, not None')
    if isinstance(segmentation, RunLengths):
        return list(_runs(segmentation, height, width))
    rings = []
    for polygon in segmentation:
        check_polygon(polygon, height, width)
        ring = np.asarray(polygon, np.float64).reshape(-1, 2)
        x, y = ring.T
        area = x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]  # twice, with a sign
        rings.append(ring if area >= 0 else ring[::-1])
    return rings


def check_polygon(polygon: Sequence[float], height: int, width: int) -> None:
    """Check that a polygon has three points or more, none of which is further from the image than its longer side.

    The image has less than 65,536 pixels a side, as those of JPEG.

    pycocotools draws a polygon in memory of the length of its edges.

    Raises:
        UserError: It has not.
    """
    if len(polygon) % 2 or len(polygon) < 6:
        raise UserError(f'a polygon of {len(polygon)} values; it should have x and y of at least three points')
    side = max(height, width)
    if side > MAX_SIDE:
        raise UserError(
            f'a polygon in an image of {width} x {height} pixels, of which no side may have more than {MAX_SIDE}'
        )
    if min(polygon) < -side or max(polygon) > 2 * side:
        raise UserError(
            f'a polygon whose points lie between {min(polygon):g} and {max(polygon):g}, in an image of '
            f'{width} x {height} pixels'
        )


def run_lengths(segmentation: RunLengths, height: int, width: int) -> np.ndarray:
    """Lengths of the runs of a mask in column order, background first.

    The compressed form writes each length, from the fourth on less the one two before it, in groups of five bits,
    the lowest first: a character from ``0`` (48) on is a group, 32 of it says that another follows, and 16 of the last
    is the sign. Source: rleToString in cocodataset/cocoapi, common/maskApi.c.

    Args:
        segmentation: The run lengths.
        height, width: Size of the image.

    Returns:
        (N,) int64, from 0 on; their sum is ``height * width``.

    Raises:
        UserError: The mask is not of this size, or larger than ``MAX_MASK`` pixels, or its runs do not fill it.
    """
    if segmentation.size != (height, width):
        rows, columns = segmentation.size
        raise UserError(
            f'run lengths of {columns} x {rows} pixels (width x height), but its image has {width} x {height}'
        )
    if height * width > MAX_MASK:
        raise UserError(f'run lengths of {width} x {height} pixels, more than the {MAX_MASK} that are read')
    counts = segmentation.counts
    try:
        lengths = _decompress(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    except ValueError as error:
        raise UserError(f'run lengths that are not in the compressed form: {error}') from error
    # The bounds first: a sum of large numbers could come round to the right one.
    if len(lengths) and (lengths.min() < 0 or lengths.max() > height * width):
        raise UserError(f'a run of {lengths[(lengths < 0) | (lengths > height * width)][0]} pixels')
    if lengths.sum() != height * width:
        raise UserError(f'runs of {lengths.sum()} pixels together in an image of {width} x {height}')
    return lengths


def _decompress(text: str) -> np.ndarray:
    """Return the numbers of compressed run lengths, (N,) int64."""
    groups = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - ord('0')
    if len(groups) == 0:
        return groups
    if groups.min() < 0 or groups.max() > 63:
        raise ValueError(f'its characters should lie between {chr(48)} and {chr(111)}')
    last = (groups & 32) == 0
    if not last[-1]:
        raise ValueError('it ends inside a number')
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 7:
        raise ValueError('a number has more than 35 bits')
    place = np.arange(len(groups)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((groups & 31) << 5 * place, starts)
    numbers -= np.where(groups[ends] & 16, np.int64(1) << 5 * digits, 0)
    for first in (1, 2):  # the differences are to the number two before
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers


def _runs(segmentation: RunLengths, height: int, width: int) -> Iterator[np.ndarray]:
    lengths = run_lengths(segmentation, height, width)
    bitmap = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height)
    steps = np.diff(bitmap.astype(np.int8), axis=1, prepend=0, append=0)  # columns begin at +1 and end at -1
    begins, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    for (x, top), (_, bottom) in zip(begins, ends):
        yield np.array([(x, top), (x + 1, top), (x + 1, bottom), (x, bottom)])
