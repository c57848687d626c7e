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
from soho.evaluation.detection.records import CocoResult
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

    def __init__(self, truth: COCO, found: COCO, kind: str, category: int, images: Sequence[int],
                 not_exhaustive: set[int]) -> None:
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


def best_of_images(results: Sequence[CocoResult], limit: int = MAX_DETECTIONS) -> list[CocoResult]:
    """The ``limit`` detections of highest score of each image."""
    by_image = defaultdict(list)
    for item in results:
        by_image[item['image_id']].append(item)
    return [item for items in by_image.values()
            for item in sorted(items, key=lambda item: -item['score'])[:limit]]


def lvis_figures(truth: COCO, results: Sequence[CocoResult], kind: str) -> dict[str, float]:
    """``AP``, ``AP50``, ``AP75``, by area ``APs``, ``APm``, ``APl`` and by frequency ``APr``, ``APc``, ``APf``.

    In percent; figures of which there is no object are left out.

    Args:
        truth: An LVIS file in :func:`soho.evaluation.detection.coco.index`; its annotations have ``iscrowd``.
        results: As in a result file.
        kind: ``bbox`` or ``segm``.
    """
    checked, not_exhaustive = defaultdict(set), defaultdict(set)
    for image in truth.dataset['images']:
        for category in image['neg_category_ids']:
            checked[category].add(image['id'])
        for category in image['not_exhaustive_category_ids']:
            not_exhaustive[category].add(image['id'])
    for item in truth.dataset['annotations']:
        checked[item['category_id']].add(item['image_id'])
    # About a category that was not looked for, nothing can be said.
    judged = [item for item in best_of_images(results) if item['image_id'] in checked[item['category_id']]]
    found = results_index(truth.dataset, judged, kind)
    precision, groups = [], []
    for category in truth.dataset['categories']:
        images = sorted(checked[category['id']])
        if images:
            precision.append(CategoryEvaluation(
                truth, found, kind, category['id'], images, not_exhaustive[category['id']]).precision())
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
        return truth

    def figures(self, items: list[CocoResult], kind: str) -> dict[str, float]:
        return lvis_figures(self.truth, items, kind)
