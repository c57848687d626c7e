"""COCO's average precision of boxes and masks (pycocotools)."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from soho.datasets.coco_detection import read_categories
from soho.datasets.storage.json_files import load_json
from soho.errors import UserError
from soho.evaluation.detection.records import CocoResult, DetectionMetric, Detections
from soho.registry import METRICS

METRIC_NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


def index(dataset: dict[str, Any]) -> COCO:
    """Index of annotations or results by pycocotools, without its output."""
    coco = COCO()
    coco.dataset = dataset
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def results_index(truth: dict[str, Any], results: Sequence[CocoResult], kind: str) -> COCO:
    """Index of results, which may be empty; areas are those of ``kind``, ``bbox`` or ``segm``."""
    annotations = []
    for number, item in enumerate(results, start=1):
        area = coco_mask.area(item['segmentation']) if kind == 'segm' else item['bbox'][2] * item['bbox'][3]
        annotations.append(dict(item, id=number, iscrowd=0, area=float(area)))
    return index(dict(images=truth['images'], categories=truth['categories'], annotations=annotations))


def coco_metrics(truth: COCO, results: Sequence[CocoResult], kind: str) -> dict[str, float]:
    """``AP``, ``AP50``, ``AP75`` and, where there are such objects, ``APs``, ``APm``, ``APl``, in percent.

    Args:
        truth: Ground truth, from :func:`index`.
        results: Detections in the form of a result file.
        kind: ``bbox`` or ``segm``.
    """
    evaluation = COCOeval(truth, results_index(truth.dataset, results, kind), kind)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100.0 * float(value) for name, value in zip(METRIC_NAMES, evaluation.stats) if value > -1}


@METRICS.register_module()
class CocoAP(DetectionMetric):
    """COCO's average precision in percent: ``bbox_AP``, ``bbox_AP50``, ... and with masks ``segm_AP``, ...

    Args:
        annotation_file: COCO's ``instances_*.json``.
        **kwargs: See :class:`DetectionMetric`.

    Raises:
        FileNotFoundError, ValueError: The file is missing or broken; raised when built.
    """

    def __init__(self, annotation_file: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.annotation_file = annotation_file
        self.category_ids = list(read_categories(annotation_file))
        self.truth = self.read_truth() if is_main_process() else None

    def read_truth(self) -> COCO:
        return index(load_json(self.annotation_file, required=('images', 'annotations', 'categories')))

    def check_images(self, results: list[Detections]) -> None:
        """Check that every image of the file was evaluated once.

        Raises:
            ValueError: An image is unknown, was evaluated twice, or not at all.
        """
        assert self.truth is not None, 'metrics are computed on the main process'
        images = np.array([record.image_id for record in results], np.int64)
        evaluated, times = np.unique(images, return_counts=True)
        known = np.array(sorted(self.truth.imgs), np.int64)
        for wrong, what in (
            (np.setdiff1d(evaluated, known), 'lacks {} of the images that were evaluated'),
            (evaluated[times > 1], 'has {} images that were evaluated more than once'),
            (np.setdiff1d(known, evaluated), 'has {} images that were not evaluated'),
        ):
            if len(wrong):
                raise UserError(f'{self.annotation_file} {what.format(len(wrong))}; the first is {wrong[0]}')

    def compute_metrics(self, results: list[Detections]) -> dict[str, float]:
        """Compute the metrics; see the class.

        Raises:
            ValueError: See :meth:`check_images`.
        """
        self.check_images(results)
        kinds = ['bbox'] + ['segm'] * any(record.masks is not None for record in results)
        items = self.coco_results([self.filter_detections(record) for record in results])
        return {f'{kind}_{name}': value for kind in kinds for name, value in self.metrics(items, kind).items()}

    def filter_detections(self, record: Detections) -> Detections:
        """Return the detections of an image that are evaluated."""
        return record

    def metrics(self, items: list[CocoResult], kind: str) -> dict[str, float]:
        return coco_metrics(self.truth, items, kind)
