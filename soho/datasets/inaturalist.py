"""Images labelled with their species, in the format of iNaturalist 2018."""

from typing import Any

import numpy as np

from soho.datasets.coco import CocoDataset
from soho.datasets.records import Category, CategoryOfImage
from soho.datasets.storage.image_sizes import list_once
from soho.datasets.storage.index import IndexBuilder, open_index
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, quote
from soho.registry import DATASETS

FOLDER = 'train_val2018/'  # image folder; prefix of the file names in the download


@DATASETS.register_module()
class INaturalist(CocoDataset):
    """iNaturalist 2018: images with one species each.

    The annotation file is ``train2018.json`` or ``val2018.json`` of the
    download: ``images`` with file names such as
    ``train_val2018/Plantae/7477/NAME.jpg``, ``annotations`` with one category
    per image, ``categories``. Categories are numbered in the order of their
    ids, which in the download equal these numbers.

    Args:
        images: ``train_val2018``, a folder or a zip.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: An image belongs to a category that the file does not list.
    """

    kind = 'inaturalist'

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.read_images()
        self.classes = self.index.meta['classes']
        self.labels = self.index['label'][self.images.rows][:, None]

    def _scan(self, out: IndexBuilder) -> None:
        categories = list_once(stream_records(self.ann_file, Category, 'categories'), 'category', self.ann_file)
        number = {category: i for i, category in enumerate(sorted(categories))}
        out.meta['classes'] = [categories[category].name for category in number]
        by_image: dict[int | str, list[int]] = {}
        for item in stream_records(self.ann_file, CategoryOfImage, 'annotations'):
            if item.category_id not in number:
                raise UserError(
                    f'{self.ann_file}: image {quote(item.image_id)} is of category {item.category_id}, '
                    'which the list of categories lacks'
                )
            if by_image.setdefault(item.image_id, [number[item.category_id]]) != [number[item.category_id]]:
                raise UserError(f'{self.ann_file}: image {quote(item.image_id)} is of two categories')
        self.add_images(out, by_image, out.numbers('label').extend)

    def file_name(self, name: str) -> str:
        return name.removeprefix(FOLDER)

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(label_names=dict(category=self.classes))

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``attribute_labels`` (1,) int64."""
        return dict(attribute_labels=self.labels[index])
