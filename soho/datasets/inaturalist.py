"""Images of one species each, in the format of iNaturalist 2018."""
import os
from typing import Any

import numpy as np

from soho.datasets.captioning import CocoDataset
from soho.datasets.json_files import stream_array
from soho.registry import DATASETS


@DATASETS.register_module()
class INaturalist(CocoDataset):
    """The species of an image.

    The annotation file is ``train2018.json`` or ``val2018.json`` of the
    download: ``images`` with file names such as
    ``train_val2018/Plantae/7477/NAME.jpg``, ``annotations`` of one category an
    image, ``categories``. Categories are numbered in the order of their ids,
    which in the download are these numbers already.

    Args:
        images: ``train_val2018``, a folder or a zip.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        ValueError: A category that the file does not list.
    """

    def read(self) -> None:
        categories = {item['id']: item['name']
                      for item in stream_array(self.ann_file, 'categories', required=('id', 'name'))}
        number = {category: i for i, category in enumerate(sorted(categories))}
        self.classes = [categories[category] for category in number]
        by_image: dict[int, list[int]] = {}
        for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'category_id')):
            if item['category_id'] not in number:
                raise ValueError(f'{self.ann_file}: image {item["image_id"]} is of category {item["category_id"]}, '
                                 'which the list of categories lacks')
            by_image[item['image_id']] = [number[item['category_id']]]
        labels: list[list[int]] = []
        folder = os.path.basename(self.store.path.removesuffix('.zip')) + '/' if self.store else ''

        def take(record: dict) -> None:
            labels.append(record['annotations'])

        self.read_images(by_image, take, folder)
        self.labels = np.asarray(labels, np.int64).reshape(-1, 1)

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(label_names=dict(category=self.classes))

    def describe(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``labels`` (1,) int64."""
        return dict(labels=self.labels[index])
