"""Records of detections, which ranks exchange and result files contain."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from soho.datasets.base import id_order
from soho.datasets.batch import Batch
from soho.datasets.storage.json_files import write_json_array
from soho.evaluation.evaluator import Metric, Prediction

CocoResult = dict[str, Any]


class Detections(NamedTuple):
    """Detections in one image, in descending order of score."""

    image_id: int | str
    size: tuple[int, int]
    """(h, w) of the full image."""
    boxes: np.ndarray
    """(D, 4) float32, x0, y0, x1, y1 in pixels of the full image."""
    scores: np.ndarray
    """(D,) float32."""
    labels: np.ndarray
    """(D,) int64, from 1."""
    masks: list[bytes] | None
    """Compressed run lengths of each mask, in COCO's encoding."""


def paste_mask(mask: np.ndarray, box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """Resize a mask bilinearly to its box in the image and threshold it at 0.5.

    As in detectron2, the cells of the mask cover the exact box, and the mask
    is 0 outside.

    Args:
        mask: (size, size) float in [0, 1].
        box: x0, y0, x1, y1 in pixels.
        size: (h, w) of the image.

    Returns:
        (h, w) uint8 of 0 and 1, in Fortran order, which pycocotools needs.
    """
    pasted = np.zeros(size, np.uint8, order='F')
    parts, weights = [], []
    for start, end, side, cells in ((box[1], box[3], size[0], len(mask)), (box[0], box[2], size[1], len(mask))):
        extent = max(end - start, 1e-6)
        margin = extent / cells
        first, last = max(int(start - margin), 0), min(int(np.ceil(end + margin)), side)
        place = (np.arange(first, last) + 0.5 - start) / extent * cells - 0.5  # of each pixel, among the cells
        parts.append(slice(first, max(last, first)))
        weights.append(np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0))
    pasted[tuple(parts)] = weights[0] @ mask @ weights[1].T >= 0.5
    return pasted


class DetectionMetric(Metric):
    """Base class of the detection metrics.

    Args:
        **kwargs: See :class:`Metric`; ``out_file`` has the official COCO results format (json).
    """

    category_ids: Sequence[int]
    """Category id of each label; the first is that of label 1."""

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store the detections of each image.

        Args:
            data_batch: Ignored.
            prediction: See :meth:`soho.models.detector.Detector.predict`.
        """
        arrays = {
            name: value.float().cpu().numpy() if value.is_floating_point() else value.cpu().numpy()
            for name, value in prediction.items()
        }
        for i, image_id in enumerate(arrays['image_id'].tolist()):
            is_detection = arrays['labels'][i] > 0
            size = tuple(arrays['full_size'][i].tolist())
            boxes = arrays['boxes'][i][is_detection]
            masks = None
            if 'masks' in arrays:
                masks = [
                    coco_mask.encode(paste_mask(mask, box, size))['counts']
                    for mask, box in zip(arrays['masks'][i][is_detection], boxes.tolist())
                ]
            self.results.append(
                Detections(
                    self.original_id('image_ids', image_id),
                    size,
                    boxes,
                    arrays['scores'][i][is_detection],
                    arrays['labels'][i][is_detection],
                    masks,
                )
            )

    def coco_results(self, results: list[Detections]) -> list[CocoResult]:
        """One dict per detection, in the form of COCO's result files, image by image."""
        items = []
        for image in sorted(results, key=lambda record: id_order(record.image_id)):
            for i, (box, score, label) in enumerate(zip(image.boxes.tolist(), image.scores.tolist(), image.labels)):
                item = dict(
                    image_id=image.image_id,
                    category_id=int(self.category_ids[label - 1]),
                    bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    score=score,
                )
                if image.masks is not None:
                    item['segmentation'] = dict(size=list(image.size), counts=image.masks[i].decode())
                items.append(item)
        return items

    def write(self, results: list[Detections], path: str) -> None:
        """Write ``[{image_id, category_id, bbox, score, segmentation}, ...]``."""
        write_json_array(path, self.coco_results(results))
