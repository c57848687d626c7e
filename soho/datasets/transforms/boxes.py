"""Transforms of the objects of an image."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from soho.datasets.storage.image_store import ImageError
from soho.datasets.transforms.base import ImageTransform, Results
from soho.datasets.transforms.image import resize_keep_ratio
from soho.errors import clip
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizeShortEdge(ImageTransform):
    """Resize so that the short edge has a random one of several lengths, and the long one at most ``long_edge``.

    For detection; :class:`ResizeShortEdge` has one length and no limit.

    Args:
        short_edges: Lengths of the short edge in pixels; (640, 672, ... 800) for COCO.
        long_edge: Maximum length of the long edge in pixels.
    """

    def __init__(self, short_edges: Sequence[int] = (800,), long_edge: int = 1333) -> None:
        self.short_edges = tuple(short_edges)
        self.long_edge = long_edge

    def transform_image(self, results: Results) -> None:
        short = int(results['rng'].choice(self.short_edges)) if len(self.short_edges) > 1 else self.short_edges[0]
        resize_keep_ratio(results, (self.long_edge, short))


@TRANSFORMS.register_module()
class PlaceObjects(BaseTransform):
    """Transform boxes and outlines from annotated coordinates to those of the resized and possibly flipped image.

    Belongs after all transforms of the image. Reads ``full_size`` (h, w), the
    size stated by the annotation, ``boxes`` (K, 4) and, for masks,
    ``outlines``; writes ``boxes`` and ``mask_edges`` (K, E, 4) float32, the
    edges of each outline, padded with zeros.

    Raises:
        ImageError: In ``transform``, for an image of another size than annotated.
    """

    def transform(self, results: Results) -> Results:
        if tuple(results['full_size']) != tuple(results['ori_size']):
            (height, width), (real_height, real_width) = results['full_size'], results['ori_size']
            raise ImageError(
                f'the image {clip(results["file_name"])} of {results["image_store"].path} has {real_width} x '
                f'{real_height} pixels, but its annotation says {width} x {height}: its boxes would be '
                'in the wrong place'
            )
        height, width = results['image_size']
        scale = np.tile(np.divide((width, height), results['full_size'][::-1]), 2).astype(np.float32)

        def place(corners: np.ndarray) -> np.ndarray:
            corners = corners * scale
            if results['flipped']:
                corners[:, 0::2] = width - corners[:, 0::2]
            return corners

        boxes = place(results['boxes'])
        results['boxes'] = boxes[:, [2, 1, 0, 3]] if results['flipped'] else boxes
        if 'outlines' in results:
            outlines = [place(edges) for edges in results.pop('outlines')]
            results['mask_edges'] = np.zeros((len(outlines), max(map(len, outlines), default=0), 4), np.float32)
            for row, edges in zip(results['mask_edges'], outlines):
                row[: len(edges)] = edges
        return results
