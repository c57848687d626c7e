"""Average precision by the rules of LVIS v1: each category is judged on the images that were checked for it.

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

from soho.evaluation.detection.coco import CocoAP, results_index
from soho.evaluation.detection.records import CocoResult, Detections
from soho.registry import METRICS

MAX_DETECTIONS = 300  # an image's, over all categories
AREAS = ('AP', 'APs', 'APm', 'APl')
GROUPS = dict(r='APr', c='APc', f='APf')


class CategoryEvaluation(COCOeval):
    """COCO's evaluation of one category, where some images do not show all its instances.

    Args:
        not_exhaustive: Images in which a detection without a match is
            not counted as wrong.
    """

    def __init__(
        self, truth: COCO, found: COCO, kind: str, category: int, images: Sequence[int], not_exhaustive: set[int]
    ) -> None:
        super().__init__(truth, found, kind)
        self.params.catIds, self.params.imgIds = [category], list(images)
        self.params.maxDets = [MAX_DETECTIONS]
        self.not_exhaustive = not_exhaustive

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        result = super().evaluateImg(imgId, catId, aRng, maxDet)
        if result is not None and imgId in self.not_exhaustive:
            result['dtIgnore'] = np.logical_or(result['dtIgnore'], result['dtMatches'] == 0)
        return result

    def precision(self) -> np.ndarray:
        """(thresholds, recalls, areas); -1 where there is no object."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluate()
            self.accumulate()
        return self.eval['precision'][:, :, 0, :, 0]


def checked_categories(truth: COCO) -> dict[int, set[int]]:
    """Of each image, the categories that are there or were looked for in vain."""
    checked = {image['id']: set(image['neg_category_ids']) for image in truth.dataset['images']}
    for item in truth.dataset['annotations']:
        checked[item['image_id']].add(item['category_id'])
    return checked


def lvis_figures(truth: COCO, results: Sequence[CocoResult], kind: str) -> dict[str, float]:
    """``AP``, ``AP50``, ``AP75``, by area ``APs``, ``APm``, ``APl`` and by frequency ``APr``, ``APc``, ``APf``.

    In percent; metrics of which there is no object are left out. About a
    category that was not looked for in an image, nothing can be said there.

    Args:
        truth: An LVIS file in :func:`soho.evaluation.detection.coco.index`; its annotations have ``iscrowd``.
        results: As in a result file, at most ``MAX_DETECTIONS`` of an image.
        kind: ``bbox`` or ``segm``.
    """
    checked, not_exhaustive = defaultdict(list), defaultdict(set)
    for image, categories in checked_categories(truth).items():
        for category in categories:
            checked[category].append(image)
    for image in truth.dataset['images']:
        for category in image['not_exhaustive_category_ids']:
            not_exhaustive[category].add(image['id'])
    found = results_index(truth.dataset, results, kind)
    precision, groups = [], []
    for category in truth.dataset['categories']:
        images = sorted(checked[category['id']])
        if images:
            precision.append(
                CategoryEvaluation(
                    truth, found, kind, category['id'], images, not_exhaustive[category['id']]
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
    """``bbox_AP``, ``segm_AP`` and the like, with ``APr``, ``APc``, ``APf`` of rare, common, frequent categories.

    Args:
        annotation_file: ``lvis_v1_val.json``.
        **kwargs: See :class:`DetectionMetric`.
    """

    def read_truth(self) -> COCO:
        truth = super().read_truth()
        for item in truth.dataset['annotations']:
            item['iscrowd'] = 0
        self.checked = checked_categories(truth)
        return truth

    def judged(self, record: Detections) -> Detections:
        """The best of an image, without what nothing can be said about there."""
        best = np.argsort(-record.scores, kind='stable')[:MAX_DETECTIONS]
        categories = np.asarray(self.category_ids)[record.labels[best] - 1]
        kept = best[np.isin(categories, list(self.checked[record.image_id]))]
        masks = record.masks and [record.masks[i] for i in kept]
        return record._replace(
            boxes=record.boxes[kept], scores=record.scores[kept], labels=record.labels[kept], masks=masks
        )

    def metrics(self, items: list[CocoResult], kind: str) -> dict[str, float]:
        return lvis_figures(self.truth, items, kind)
