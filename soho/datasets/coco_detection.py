"""Images with boxes and outlines of their objects: COCO, LVIS."""

import os
from collections.abc import Iterator
from logging import WARNING
from typing import Any

import numpy as np
from mmengine.logging import print_log

from soho.datasets.base import ImageTextDataset
from soho.datasets.image_table import ImageTable
from soho.datasets.object_table import ObjectTable, check_object, describe_object, outline
from soho.datasets.records import BoxedObject, Category, CocoImage, LVISImage, OutlinedObject
from soho.datasets.storage.image_sizes import list_once
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import PathLike, stream_array
from soho.datasets.storage.json_records import item_place, stream_records, to_record
from soho.errors import UserError, clip, quote
from soho.registry import DATASETS


def read_categories(ann_file: PathLike) -> dict[int, str]:
    """Names by category id, in the order of the ids: the first is label 1, since 0 is the background."""
    categories = list_once(stream_records(ann_file, Category, 'categories'), 'category', ann_file)
    return {number: categories[number].name for number in sorted(categories)}


class DetectionDataset(ImageTextDataset):
    """Base class of the detection datasets: a sample is an image with all its objects.

    In training, images without objects are left out; in test mode every image
    is included, without its objects. A subclass yields its images in
    ``records``.

    Args:
        outlines: Whether samples have ``outlines``, for masks.
        max_broken_objects: Number of objects that may be left out of training before an error is raised, because
            their annotation has a wrong value or contradicts itself, as run lengths of another size than
            their image; the first is reported, and how many there are.
        **kwargs: See :class:`ImageTextDataset`.
    """

    def __init__(self, *args, outlines: bool = True, max_broken_objects: int = 0, **kwargs) -> None:
        self.outlines = outlines
        self.max_broken_objects = max_broken_objects
        self.broken_objects = 0
        self._first_broken: UserError | None = None
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
        if self.broken_objects:
            print_log(
                f'left out {self.broken_objects} broken objects, the first: {self._first_broken}', 'current', WARNING
            )
        counts = np.diff(self.objects.image_ends)
        self.item_images = (np.arange(len(self.images)) if self.test_mode else np.flatnonzero(counts))[:, None]
        without += len(self.images) - len(self.item_images)
        for count, what in ((without, 'images without an object'), (self.objects.dropped, 'objects without an area')):
            if count:
                print_log(f'{self.ann_file}: left out {count} {what}', 'current')

    def skip_object(self, error: UserError) -> None:
        """Count an object with a broken annotation; it is left out.

        Raises:
            UserError: There are more than ``max_broken_objects``.
        """
        self.broken_objects += 1
        self._first_broken = self._first_broken or error
        if self.broken_objects > self.max_broken_objects:
            if self.max_broken_objects == 0:
                raise error
            raise UserError(
                f'{self.broken_objects} objects of {self.ann_file} could not be used, more than '
                f'max_broken_objects={self.max_broken_objects}; the last: {error}'
            ) from error

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(class_names=self.class_names, **self.id_metainfo())

    def labels_of_items(self) -> Iterator[np.ndarray]:
        """Labels of each item's objects, for samplers."""
        ends = self.objects.image_ends
        return (self.objects.labels[ends[image] : ends[image + 1]] for image in self.item_images[:, 0])

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``image_id``, ``full_size`` (h, w) as annotated, and in training the objects of the image."""
        image = self.item_images[index, 0]
        assert self.images.sizes is not None  # of every record that `load_annotations` reads
        known = dict(image_id=self.images.number(int(image)), full_size=self.images.sizes[image].astype(np.int64))
        return known if self.test_mode else dict(known, **self.objects.of_image(image))


@DATASETS.register_module()
class CocoDetection(DetectionDataset):
    """COCO's ``instances_*.json``; in test mode any file with ``images`` and ``categories``.

    Objects marked ``iscrowd`` are groups; they are left out of training, as in
    detectron2, and the evaluation ignores detections on them.

    Args:
        **kwargs: See :class:`DetectionDataset`.

    Raises:
        UserError: An object belongs to an image or a category that the file does not list, or its outline is
            broken.
    """

    image_record: type[CocoImage | LVISImage] = CocoImage

    def records(self) -> Iterator[dict[str, Any]]:
        categories = read_categories(self.ann_file)
        self.class_names = list(categories.values())
        labels = {category: i for i, category in enumerate(categories, start=1)}
        images = list_once(stream_records(self.ann_file, self.image_record, 'images'), 'image', self.ann_file)
        objects: dict[int | str, list] = {}
        if not self.test_mode:
            kind = OutlinedObject if self.outlines else BoxedObject
            for number, item in enumerate(stream_array(self.ann_file, 'annotations')):
                try:
                    thing = to_record(item, kind, item_place(self.ann_file, 'annotations', number))
                    if not thing.iscrowd:
                        objects.setdefault(thing.image_id, []).append(self._object(thing, labels, images))
                except UserError as error:
                    self.skip_object(error)
        for number, image in images.items():
            yield dict(
                file_name=self.file_name(image),
                image_id=number,
                height=image.height,
                width=image.width,
                objects=objects.pop(number, []),
            )

    def file_name(self, image: Any) -> str:
        return image.file_name

    def _object(
        self, item: BoxedObject, labels: dict[int, int], images: dict[int | str, Any]
    ) -> tuple[list[float], int, list[np.ndarray]]:
        check_object(item, images, labels, self.ann_file)
        x, y, width, height = item.bbox
        rings = []
        if isinstance(item, OutlinedObject):
            image = images[item.image_id]
            try:
                rings = outline(item.segmentation, image.height, image.width)
            except UserError as error:
                raise UserError(f'{describe_object(item, self.ann_file)} with {error}') from error
            rings = [ring.astype(np.float32) for ring in rings]
        return [x, y, x + width, y + height], labels[item.category_id], rings


class FolderStores(ImageStore):
    """Image stores of several folders (or zips), addressed by ``FOLDER/NAME``.

    Args:
        root: Parent of the folders.
        folders: Names of the folders.
        max_bytes: See :class:`ImageStore`.
    """

    def __init__(self, root: str, folders: list[str], max_bytes: int) -> None:
        super().__init__(root, max_bytes)
        self.stores = {folder: ImageStore(os.path.join(root, folder), max_bytes) for folder in folders}

    def read(self, name: str) -> bytes:
        folder, _, file = name.partition('/')
        return self.stores[folder].read(file)


@DATASETS.register_module()
class LVISDetection(CocoDetection):
    """LVIS v1's ``lvis_v1_*.json``: COCO's images, in the folders named by each image's ``coco_url``.

    ``images`` is the parent of ``train2017`` and ``val2017`` (folders or zips).

    Args:
        **kwargs: See :class:`DetectionDataset`.
    """

    image_record = LVISImage

    def load_annotations(self) -> None:
        super().load_annotations()
        if self.store is not None:
            folders = sorted({name.split('/')[0] for name in self.images.file_names})
            self.store = FolderStores(self.store.path, folders, self.max_image_bytes)

    def file_name(self, image: Any) -> str:
        folder, _, name = '/'.join(image.coco_url.split('/')[-2:]).partition('/')
        if not folder or not name:
            raise UserError(
                f'{self.ann_file}: the coco_url of image {quote(image.id)} is {clip(image.coco_url)}; '
                'it should end in folder and name, as in train2017/000000391895.jpg'
            )
        return f'{folder}/{name}'
