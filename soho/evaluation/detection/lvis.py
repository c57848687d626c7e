"""Average precision of LVIS v1: each category is evaluated on the images that were annotated for it.

Source: lvis-dataset/lvis-api, lvis/eval.py. Paper: LVIS, arXiv:1908.03195.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from soho.datasets.records import LVISCategory, LVISTruthImage
from soho.evaluation.detection.coco import CocoAP, Truth, read_truth, results_index
from soho.evaluation.detection.records import CocoResult, Detections
from soho.registry import METRICS

MAX_DETECTIONS = 300  # per image, over all categories
AREAS = ('AP', 'APs', 'APm', 'APl')
GROUPS = dict(r='APr', c='APc', f='APf')


class CategoryEvaluation(COCOeval):
    """COCO's evaluation of one category, some images of which are not exhaustively annotated.

    Args:
        truth: Ground truth.
        detections: Detections, from :func:`soho.evaluation.detection.coco.results_index`.
        kind: ``bbox`` or ``segm``.
        category: Id of the category.
        images: Ids of the images that are evaluated.
        not_exhaustive: Images in which a detection without a match is ignored
            instead of being a false positive.
    """

    def __init__(
        self, truth: COCO, detections: COCO, kind: str, category: int, images: Sequence[int], not_exhaustive: set[int]
    ) -> None:
        super().__init__(truth, detections, kind)
        self.params.catIds, self.params.imgIds = [category], list(images)
        self.params.maxDets = [MAX_DETECTIONS]
        self.not_exhaustive = not_exhaustive

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        result = super().evaluateImg(imgId, catId, aRng, maxDet)
        if result is not None and imgId in self.not_exhaustive:
            result['dtIgnore'] = np.logical_or(result['dtIgnore'], result['dtMatches'] == 0)
        return result

    def precision(self) -> np.ndarray:
        """Precision (thresholds, recalls, areas); -1 where there is no object."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluate()
            self.accumulate()
        return self.eval['precision'][:, :, 0, :, 0]


def checked_categories(truth: COCO) -> dict[int, set[int]]:
    """Categories annotated in each image, by image id: those present and those verified to be absent."""
    checked = {image['id']: set(image['neg_category_ids']) for image in truth.dataset['images']}
    for item in truth.dataset['annotations']:
        checked[item['image_id']].add(item['category_id'])
    return checked


def lvis_metrics(truth: COCO, results: Sequence[CocoResult], kind: str) -> dict[str, float]:
    """``AP``, ``AP50``, ``AP75``, by area ``APs``, ``APm``, ``APl`` and by frequency ``APr``, ``APc``, ``APf``.

    In percent; metrics without objects are left out. In an image that was not
    annotated for a category, the category is not evaluated.

    Args:
        truth: LVIS annotations, from :func:`soho.evaluation.detection.coco.index`, with ``iscrowd``.
        results: Detections in the form of a result file, at most ``MAX_DETECTIONS`` per image.
        kind: ``bbox`` or ``segm``.
    """
    checked, not_exhaustive = defaultdict(list), defaultdict(set)
    for image, categories in checked_categories(truth).items():
        for category in categories:
            checked[category].append(image)
    for image in truth.dataset['images']:
        for category in image['not_exhaustive_category_ids']:
            not_exhaustive[category].add(image['id'])
    detections = results_index(truth.dataset, results, kind)
    precision, groups = [], []
    for category in truth.dataset['categories']:
        images = sorted(checked[category['id']])
        if images:
            precision.append(
                CategoryEvaluation(
                    truth, detections, kind, category['id'], images, not_exhaustive[category['id']]
                ).precision()
            )
            groups.append(category['frequency'])
    values = np.stack(precision)  # (categories, thresholds, recalls, areas)
    groups = np.array(groups)
    parts = {name: values[..., i] for i, name in enumerate(AREAS)}
    parts.update(AP50=values[:, 0, :, 0], AP75=values[:, 5, :, 0])
    parts.update({name: values[groups == group][..., 0] for group, name in GROUPS.items()})
    return {name: 100.0 * float(part[part > -1].mean()) for name, part in parts.items() if (part > -1).any()}


@METRICS.register_module()
class LVISAP(CocoAP):
    """LVIS's average precision in percent: ``bbox_AP``, ``segm_AP``, ..., with ``APr``, ``APc``, ``APf`` of rare,
    common and frequent categories.

    Args:
        annotation_file: ``lvis_v1_val.json``.
        **kwargs: See :class:`DetectionMetric`.
    """

    def read_truth(self) -> Truth:
        truth = read_truth(self.annotation_file, LVISTruthImage, LVISCategory, crowds=False)
        self.checked = checked_categories(truth.coco)
        return truth

    def filter_detections(self, record: Detections) -> Detections:
        """Return the best detections of an image, without those of categories it was not annotated for."""
        best = np.argsort(-record.scores, kind='stable')[:MAX_DETECTIONS]
        image = record.image_id
        assert isinstance(image, int), 'images are numbered'
        categories = np.asarray(self.category_ids)[record.labels[best] - 1]
        kept = best[np.isin(categories, list(self.checked[image]))]
        masks = record.masks and [record.masks[i] for i in kept]
        return record._replace(
            boxes=record.boxes[kept], scores=record.scores[kept], labels=record.labels[kept], masks=masks
        )

    def metrics(self, items: list[CocoResult], kind: str) -> dict[str, float]:
        assert self.truth is not None, 'metrics are computed on the main process'
        return lvis_metrics(self.truth.coco, items, kind)
