"""COCO's average precision of boxes and masks (pycocotools)."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from logging import WARNING
from typing import Any, NamedTuple

import msgspec
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from soho.datasets.base import first_id
from soho.datasets.coco_detection import read_categories
from soho.datasets.object_table import check_object, check_polygon, describe_object, run_lengths
from soho.datasets.records import CategoryId, RunLengths, TruthImage, TruthObject
from soho.datasets.storage.image_sizes import list_once
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, quote
from soho.evaluation.detection.records import CocoResult, DetectionMetric, Detections
from soho.files import PathLike
from soho.registry import METRICS

METRIC_NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


def index(dataset: dict[str, Any]) -> COCO:
    """Index of annotations or results by pycocotools, without its output."""
    coco = COCO()
    coco.dataset = dataset
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


class Truth(NamedTuple):
    """Ground truth for pycocotools, in which every condition holds that it does not check."""

    coco: COCO
    numbers: dict[int | str, int]
    """Number of each image in ``coco`` by its id in the file."""
    without_mask: str | None
    """Why masks cannot be evaluated, in words, if some object has none."""


def read_truth(
    annotation_file: PathLike,
    image_record: type[TruthImage] = TruthImage,
    category_record: type[CategoryId] = CategoryId,
    crowds: bool = True,
) -> Truth:
    """Read ground truth in COCO's format.

    Objects get ids of their own, 1, 2, ...: pycocotools takes 0 for "no object" and mixes up those that share one. An
    object without ``iscrowd`` is none, and one without ``area`` has that of its mask, else of its box.

    Args:
        annotation_file: COCO's ``instances_*.json``.
        image_record, category_record: Records of images and categories, whose fields are handed on.
        crowds: Whether objects may be crowds; LVIS has none.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is broken, an object is of an image or a category that is not listed, or has a mask that
            does not fit its image.
    """
    listed = list_once(stream_records(annotation_file, image_record, 'images'), 'image', annotation_file)
    whole = all(isinstance(image, int) and image >= 0 for image in listed)
    numbers = {image: image if whole else place for place, image in enumerate(listed)}
    categories = list_once(stream_records(annotation_file, category_record, 'categories'), 'category', annotation_file)
    annotations, without_mask = [], None
    for number, item in enumerate(stream_records(annotation_file, TruthObject, 'annotations'), start=1):
        check_object(item, listed, categories, annotation_file)
        image = listed[item.image_id]
        try:
            mask = _mask(item, image.height, image.width)
        except UserError as error:
            raise UserError(f'{describe_object(item, annotation_file)} with {error}') from error
        known: dict[str, Any] = dict(
            id=number,
            image_id=numbers[item.image_id],
            category_id=item.category_id,
            bbox=list(item.bbox),
            iscrowd=int(item.iscrowd and crowds),
        )
        if mask is None:
            without_mask = without_mask or (
                f'{annotation_file}: image {quote(item.image_id)} has an object without a mask, or states no height '
                'and width'
            )
        else:
            known['segmentation'] = mask
        known['area'] = _area(item, mask, image) if item.area is None else item.area
        annotations.append(known)
    dataset = dict(
        images=[dict(msgspec.structs.asdict(image), id=numbers[image.id]) for image in listed.values()],
        categories=[msgspec.structs.asdict(category) for category in categories.values()],
        annotations=annotations,
    )
    return Truth(index(dataset), numbers, without_mask)


def _mask(item: TruthObject, height: int | None, width: int | None) -> Any:
    """Return the mask of an object as pycocotools takes it, or None; nothing of it is unchecked."""
    segmentation = item.segmentation
    if not segmentation or height is None or width is None:
        return None
    if isinstance(segmentation, RunLengths):
        run_lengths(segmentation, height, width)
        return dict(size=[height, width], counts=segmentation.counts)
    for polygon in segmentation:
        check_polygon(polygon, height, width)
    return segmentation


def _area(item: TruthObject, mask: Any, image: TruthImage) -> float:
    """Area of an object's mask, or without one of its box, in pixels."""
    if mask is None:
        return item.bbox[2] * item.bbox[3]
    assert image.height is not None and image.width is not None, 'there is no mask without them'
    if isinstance(item.segmentation, RunLengths):
        return float(run_lengths(item.segmentation, image.height, image.width)[1::2].sum())
    return float(coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(mask, image.height, image.width))))


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

    def read_truth(self) -> Truth:
        return read_truth(self.annotation_file)

    def check_images(self, results: list[Detections]) -> None:
        """Check that every image of the file was evaluated once.

        Raises:
            UserError: An image is unknown, was evaluated twice, or not at all.
        """
        assert self.truth is not None, 'metrics are computed on the main process'
        times = Counter(record.image_id for record in results)
        known = self.truth.numbers.keys()
        for wrong, what in (
            (times.keys() - known, 'lacks {} of the images that were evaluated'),
            (
                [image for image, count in times.items() if count > 1],
                'has {} images that were evaluated more than once',
            ),
            (known - times.keys(), 'has {} images that were not evaluated'),
        ):
            if wrong:
                raise UserError(
                    f'{self.annotation_file} {what.format(len(wrong))}; the first is {quote(first_id(wrong))}'
                )

    def compute_metrics(self, results: list[Detections]) -> dict[str, float]:
        """Compute the metrics; see the class. Masks are evaluated only where every object of the file has one.

        Raises:
            ValueError: See :meth:`check_images`.
        """
        self.check_images(results)
        assert self.truth is not None, 'metrics are computed on the main process'
        kinds = ['bbox'] + ['segm'] * any(record.masks is not None for record in results)
        if 'segm' in kinds and self.truth.without_mask:
            print_log(f'Masks are not evaluated: {self.truth.without_mask}.', 'current', WARNING)
            kinds.remove('segm')
        numbered = [record._replace(image_id=self.truth.numbers[record.image_id]) for record in results]
        items = self.coco_results([self.filter_detections(record) for record in numbered])
        return {f'{kind}_{name}': value for kind in kinds for name, value in self.metrics(items, kind).items()}

    def filter_detections(self, record: Detections) -> Detections:
        """Return the detections of an image that are evaluated."""
        return record

    def metrics(self, items: list[CocoResult], kind: str) -> dict[str, float]:
        assert self.truth is not None, 'metrics are computed on the main process'
        return coco_metrics(self.truth.coco, items, kind)
