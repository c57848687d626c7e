"""Images with the categories of their objects, in COCO's own format."""

from collections.abc import Collection
from typing import Any

import numpy as np

from soho.datasets.coco import CocoDataset
from soho.datasets.object_table import describe_object
from soho.datasets.records import CategoryId, CategoryOfImage
from soho.datasets.storage.image_sizes import list_once
from soho.datasets.storage.index import IndexBuilder, open_index, spans
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError
from soho.registry import DATASETS


@DATASETS.register_module()
class ObjectLabelsDataset(CocoDataset):
    """Images labelled with the set of their objects' categories.

    The annotation file is COCO's ``instances_*.json``. Categories are numbered
    1, 2, ... in the order of the file, 0 being padding; images without objects
    are left out.

    Args:
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: An object belongs to a category that the file does not list.
    """

    kind = 'coco_objects'

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.read_images()
        self.labels = self.index['label']
        self.label_start, self.label_count = spans(self.index['labels_end'], self.images.rows)

    def _scan(self, out: IndexBuilder) -> None:
        categories = list_once(stream_records(self.ann_file, CategoryId, 'categories'), 'category', self.ann_file)
        number = {category: i for i, category in enumerate(categories, start=1)}
        by_image: dict[int | str, set[int]] = {}
        for item in stream_records(self.ann_file, CategoryOfImage, 'annotations'):
            if item.category_id not in number:
                raise UserError(f'{describe_object(item, self.ann_file)}, which the list of categories lacks')
            by_image.setdefault(item.image_id, set()).add(number[item.category_id])
        labels, ends = out.numbers('label'), out.numbers('labels_end')

        def add(objects: Collection[int]) -> None:
            labels.extend(sorted(objects))
            ends.append(len(labels))

        self.add_images(out, by_image, add)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``label_set`` (K,) int64, in ascending order, and ``image_id``."""
        first = self.label_start[index]
        return dict(label_set=self.labels[first : first + self.label_count[index]], image_id=self.image_id(index))
