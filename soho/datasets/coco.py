"""Base class of the datasets in COCO's own format."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from soho.datasets.base import ImageTextDataset, first_id
from soho.datasets.image_table import ImageTable
from soho.datasets.records import ImageRecord
from soho.datasets.storage.image_sizes import coco_sizes
from soho.datasets.storage.index import IndexBuilder
from soho.errors import UserError, quote

CollectionT = TypeVar('CollectionT', bound=Collection)


class CocoDataset(ImageTextDataset):
    """Base class of the datasets that read COCO's json files: an item is an image that has annotations."""

    def add_images(
        self, out: IndexBuilder, annotations: Mapping[int | str, CollectionT], add: Callable[[CollectionT], None]
    ) -> None:
        """Add the images with annotations to the index, in the order of ``annotations``.

        Args:
            out: The index.
            annotations: Annotations by image id.
            add: Called with the annotations of an image after the image is added.

        Raises:
            UserError: An annotation of an image that the file does not list.
        """
        sizes = coco_sizes([self.ann_file])
        unknown = annotations.keys() - sizes.keys()
        if unknown:
            raise UserError(
                f'{self.ann_file} has annotations of {len(unknown)} images that its list of images '
                f'lacks; the first is {quote(first_id(unknown))}'
            )
        for image, items in annotations.items():
            size = sizes[image]
            out.image(ImageRecord(self.file_name(size.file_name), image, size.height, size.width))
            add(items)

    def file_name(self, name: str) -> str:
        """File name of an image below the image folder, from its name in the annotation file."""
        return name

    def read_images(self) -> None:
        """Set ``images`` and ``item_images`` to the images of the index that are large enough."""
        assert self.index is not None, 'open the index first'
        self.images = ImageTable.of(self.index, self.min_side)
        self.item_images = np.arange(len(self.images))[:, None]

    def image_id(self, index: int) -> int:
        """Number of an item's image in batches; see :meth:`ImageTable.number`."""
        return self.images.number(int(self.item_images[index, 0]))

    @property
    def metainfo(self) -> dict[str, Any]:
        return self.id_metainfo()
