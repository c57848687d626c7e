"""PASCAL VOC 2007's average precision, at COCO's ten thresholds.

Source: detectron2, evaluation/pascal_voc_evaluation.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from torchvision.ops import box_iou

from soho.datasets.base import first_id, id_order
from soho.datasets.voc07 import class_names
from soho.datasets.voc_detection import annotation_file, devkit_folder, image_ids, read_names, read_voc_image
from soho.errors import UserError, quote
from soho.evaluation.detection.records import DetectionMetric, Detections
from soho.evaluation.voc07 import eleven_points
from soho.registry import METRICS

THRESHOLDS = np.arange(50, 100, 5)  # overlaps in percent
GroundTruth = dict[int, tuple[np.ndarray, np.ndarray]]


def class_precision(
    truth: GroundTruth,
    images: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    thresholds: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Average precision of one class, by the 11-point rule, at each threshold.

    The best detection of an object is a true positive, further ones are false
    positives; a detection matched to a difficult object is ignored.

    Args:
        truth: (K, 4) boxes and (K,) bool ``difficult`` of the objects, by image.
        images: (N,) image of each detection.
        boxes: (N, 4).
        scores: (N,).
        thresholds: Overlaps (IoU) that a match has to exceed.

    Returns:
        (T,) float64 in [0, 1].
    """
    limits = np.asarray(thresholds)
    total = sum(int((~difficult).sum()) for _, difficult in truth.values())
    true, false = np.zeros((2, len(limits), len(images)))  # positives
    matched = {image: np.zeros((len(limits), len(objects)), bool) for image, (objects, _) in truth.items()}
    for place, i in enumerate(np.argsort(-scores, kind='stable')):
        objects, difficult = truth.get(int(images[i]), (np.zeros((0, 4)), np.zeros(0, bool)))
        overlaps = box_iou(torch.from_numpy(boxes[i : i + 1]).double(), torch.from_numpy(objects).double())[0].numpy()
        best = int(overlaps.argmax()) if len(overlaps) else -1
        fits = overlaps[best] > limits if len(overlaps) else np.zeros(len(limits), bool)
        false[:, place] = ~fits
        if fits.any() and not difficult[best]:
            first = fits & ~matched[int(images[i])][:, best]
            true[:, place] = first
            false[:, place] += fits & ~first
            matched[int(images[i])][first, best] = True
    true, false = true.cumsum(1), false.cumsum(1)
    return np.array(
        [eleven_points(t / np.maximum(t + f, np.finfo(np.float64).eps), t / max(total, 1)) for t, f in zip(true, false)]
    )


@METRICS.register_module()
class VOCAP(DetectionMetric):
    """Mean over the classes of ``AP`` (mean over thresholds of 50 to 95 %), ``AP50`` and ``AP75``, in percent.

    Args:
        image_set: ``VOC2007/ImageSets/Main/test.txt``; the annotations are in ``VOC2007/Annotations``.
        names: See :class:`soho.datasets.voc_detection.VOCDetection`.
        **kwargs: See :class:`DetectionMetric`.
    """

    def __init__(self, image_set: str, names: Sequence[str] | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.image_set = image_set
        self.names = list(names or class_names(devkit_folder(image_set), Path(image_set).stem))
        self.category_ids = range(1, len(self.names) + 1)
        self.truth = self.read_truth(image_set) if is_main_process() else None

    def read_truth(self, image_set: str) -> dict[str, GroundTruth]:
        """Ground truth by class; sets ``numbers``, the place of each image in the order of their ids."""
        truth: dict[str, GroundTruth] = {name: {} for name in self.names}
        names = read_names(image_set)
        ids = image_ids(names)
        self.numbers = {image: place for place, image in enumerate(sorted(ids, key=id_order))}
        for name, image in zip(names, ids):
            objects = read_voc_image(annotation_file(image_set, name)).objects
            for class_name in {item.name for item in objects} & truth.keys():
                of_class = [item for item in objects if item.name == class_name]
                truth[class_name][self.numbers[image]] = (
                    np.array([item.box for item in of_class]),
                    np.array([item.difficult for item in of_class]),
                )
        return truth

    def compute_metrics(self, results: list[Detections]) -> dict[str, float]:
        assert self.truth is not None, 'metrics are computed on the main process'
        if unknown := {record.image_id for record in results} - self.numbers.keys():
            raise UserError(
                f'{self.image_set} lacks {len(unknown)} of the images that were evaluated; '
                f'the first is {quote(first_id(unknown))}'
            )
        results = sorted(results, key=lambda record: self.numbers[record.image_id])
        images = np.repeat([self.numbers[r.image_id] for r in results], [len(r.labels) for r in results])
        boxes, scores, labels = (
            np.concatenate([getattr(r, name) for r in results]) for name in ('boxes', 'scores', 'labels')
        )
        table = []
        for label, name in enumerate(self.names, start=1):
            part = labels == label
            table.append(class_precision(self.truth[name], images[part], boxes[part], scores[part], THRESHOLDS / 100))
        mean = 100.0 * np.mean(table, 0)  # (T,)
        return dict(AP=float(mean.mean()), AP50=float(mean[0]), AP75=float(mean[5]))
