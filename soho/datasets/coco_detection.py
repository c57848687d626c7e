"""Images with boxes and outlines of their objects: COCO, LVIS."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.logging import print_log

from soho.datasets.base import ImageTable, ImageTextDataset
from soho.datasets.object_table import ObjectTable, outline
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import PathLike, stream_array
from soho.errors import UserError
from soho.registry import DATASETS


def read_categories(ann_file: PathLike) -> dict[int, str]:
    """Names by category id, in the order of the ids: the first is label 1, since 0 is the background."""
    return dict(
        sorted((item['id'], item['name']) for item in stream_array(ann_file, 'categories', required=('id', 'name')))
    )


class DetectionDataset(ImageTextDataset):
    """Base class of the detection datasets: a sample is an image with all its objects.

    In training, images without objects are left out; in test mode every image
    is included, without its objects. A subclass yields its images in
    ``records``.

    Args:
        outlines: Whether samples have ``outlines``, for masks.
        **kwargs: See :class:`ImageTextDataset`.
    """

    def __init__(self, *args, outlines: bool = True, **kwargs) -> None:
        self.outlines = outlines
        self.class_names: list[str] = []
        super().__init__(*args, **kwargs)

    def records(self) -> Iterator[dict[str, Any]]:
        """Set ``class_names``, then yield ``file_name``, ``image_id``, ``height``, ``width`` and ``objects`` (see
        :class:`ObjectTable`) of each image."""
        raise NotImplementedError

    def load_annotations(self) -> None:
        self.objects = ObjectTable(self.outlines)
        without = 0

        def usable_records() -> Iterator[dict[str, Any]]:
            nonlocal without
            for record in self.records():
                if self.test_mode or record['objects']:
                    yield record
                else:
                    without += 1

        def add_objects(record: dict[str, Any]) -> None:
            objects = [] if self.test_mode else record['objects']
            self.objects.add_image(objects, record['height'], record['width'])

        self.images = ImageTable(usable_records(), add_objects, self.min_side)
        self.objects.finish()
        counts = np.diff(self.objects.image_ends)
        self.item_images = (np.arange(len(self.images)) if self.test_mode else np.flatnonzero(counts))[:, None]
        without += len(self.images) - len(self.item_images)
        for count, what in ((without, 'images without an object'), (self.objects.dropped, 'objects without an area')):
            if count:
                print_log(f'{self.ann_file}: left out {count} {what}', 'current')

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(class_names=self.class_names)

    def labels_of_items(self) -> Iterator[np.ndarray]:
        """Labels of each item's objects, for samplers."""
        ends = self.objects.image_ends
        return (self.objects.labels[ends[image] : ends[image + 1]] for image in self.item_images[:, 0])

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``image_id``, ``full_size`` (h, w) as annotated, and in training the objects of the image."""
        image = self.item_images[index, 0]
        assert self.images.sizes is not None  # of every record that `load_annotations` reads
        known = dict(image_id=int(self.images.image_ids[image]), full_size=self.images.sizes[image].astype(np.int64))
        return known if self.test_mode else dict(known, **self.objects.of_image(image))


@DATASETS.register_module()
class CocoDetection(DetectionDataset):
    """COCO's ``instances_*.json``; in test mode any file with ``images`` and ``categories``.

    Objects marked ``iscrowd`` are groups; they are left out of training, as in
    detectron2, and the evaluation ignores detections on them.

    Args:
        **kwargs: See :class:`DetectionDataset`.

    Raises:
        ValueError: An object belongs to an image or a category that the file does not list, or its outline is
            broken.
    """

    image_keys: tuple[str, ...] = ('id', 'file_name', 'height', 'width')

    def records(self) -> Iterator[dict[str, Any]]:
        categories = read_categories(self.ann_file)
        self.class_names = list(categories.values())
        labels = {category: i for i, category in enumerate(categories, start=1)}
        images = {image['id']: image for image in stream_array(self.ann_file, 'images', required=self.image_keys)}
        objects: dict[int, list] = {}
        if not self.test_mode:
            for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'category_id', 'bbox')):
                where = f'{self.ann_file}: image {item["image_id"]}'
                if item['image_id'] not in images:
                    raise UserError(f'{where} has an object, but the list of images lacks it')
                if item['category_id'] not in labels:
                    raise UserError(
                        f'{where} has an object of category {item["category_id"]}, which the list of categories lacks'
                    )
                if not item.get('iscrowd'):
                    objects.setdefault(item['image_id'], []).append(
                        self._object(item, labels[item['category_id']], images[item['image_id']], where)
                    )
        for number, image in images.items():
            yield dict(
                file_name=self.file_name(image),
                image_id=number,
                height=image['height'],
                width=image['width'],
                objects=objects.pop(number, []),
            )

    def file_name(self, image: dict[str, Any]) -> str:
        return image['file_name']

    def _object(
        self, item: dict[str, Any], label: int, image: dict[str, Any], where: str
    ) -> tuple[list[float], int, list[np.ndarray]]:
        x, y, width, height = item['bbox']
        rings = []
        if self.outlines:
            try:
                rings = outline(item.get('segmentation'), image['height'], image['width'])
            except ValueError as error:
                raise UserError(f'{where} has an object of category {item["category_id"]} with {error}') from error
            rings = [ring.astype(np.float32) for ring in rings]
        return [x, y, x + width, y + height], label, rings


class FolderStores(ImageStore):
    """Image stores of several folders (or zips), addressed by ``FOLDER/NAME``.

    Args:
        root: Parent of the folders.
        folders: Names of the folders.
    """

    def __init__(self, root: str, folders: list[str]) -> None:
        super().__init__(root)
        self.stores = {folder: ImageStore(os.path.join(root, folder)) for folder in folders}

    def read(self, name: str) -> bytes:
        folder, file = name.split('/')
        return self.stores[folder].read(file)


@DATASETS.register_module()
class LVISDetection(CocoDetection):
    """LVIS v1's ``lvis_v1_*.json``: COCO's images, in the folders named by each image's ``coco_url``.

    ``images`` is the parent of ``train2017`` and ``val2017`` (folders or zips).

    Args:
        **kwargs: See :class:`DetectionDataset`.
    """

    image_keys = ('id', 'coco_url', 'height', 'width')

    def load_annotations(self) -> None:
        super().load_annotations()
        if self.store is not None:
            folders = sorted({name.split('/')[0] for name in self.images.file_names})
            self.store = FolderStores(self.store.path, folders)

    def file_name(self, image: dict[str, Any]) -> str:
        return '/'.join(image['coco_url'].split('/')[-2:])
