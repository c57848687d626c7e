"""Images with one caption at a time, in COCO's own format."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from soho.datasets.base import ImageTable, ImageTextDataset
from soho.datasets.storage.image_sizes import coco_sizes
from soho.datasets.storage.index import IndexBuilder, open_index, spans
from soho.datasets.storage.json_files import stream_array
from soho.errors import UserError
from soho.registry import DATASETS


class CocoDataset(ImageTextDataset):
    """Base of the datasets that read COCO's json files: an item is an image that has annotations."""

    def add_images(
        self, out: IndexBuilder, annotations: dict[int, Collection], add: Callable[[Collection], None]
    ) -> None:
        """Put those images of the file into its index that ``annotations`` name, in their order.

        Args:
            out: The index.
            annotations: By image id.
            add: Called with an image's annotations after the image.

        Raises:
            ValueError: An annotation of an image that the file does not list.
        """
        sizes = coco_sizes([self.ann_file])
        unknown = annotations.keys() - sizes.keys()
        if unknown:
            raise UserError(
                f'{self.ann_file} has annotations of {len(unknown)} images that its list of images '
                f'lacks; the first is {min(unknown)}'
            )
        for image, items in annotations.items():
            out.image(dict(sizes[image]._asdict(), file_name=self.file_name(sizes[image].file_name), image_id=image))
            add(items)

    def file_name(self, name: str) -> str:
        """The name of an image below the folder of the images, from that in the annotation file."""
        return name

    def read_images(self) -> None:
        """Take the images of the index that are large enough."""
        self.images = ImageTable.of(self.index, self.min_side)
        self.item_images = np.arange(len(self.images))[:, None]

    def image_id(self, index: int) -> int:
        return int(self.images.image_ids[self.item_images[index, 0]])


@DATASETS.register_module()
class CaptioningDataset(CocoDataset):
    """``sentence_group`` captions of an image a sample, others in every epoch; in test mode the first.

    VirTex was published with one. Several share the image's way through the
    CNN, which is most of a step, and all are there before any comes again.

    The annotation file is COCO's ``captions_*.json``. Images come in the order
    in which their first captions stand in it, as in the official VirTex.

    Args:
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        ValueError: A caption that is empty or no text.
    """

    kind = 'coco_captions'
    column = 'caption'

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.read_images()
        self.captions = self.index.texts('caption')
        self.caption_start, self.caption_count = spans(self.index['captions_end'], self.images.rows)

    def _scan(self, out: IndexBuilder) -> None:
        by_image: dict[int, list[str]] = {}
        for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'caption')):
            if not isinstance(item['caption'], str) or not item['caption'].strip():
                raise UserError(
                    f'{self.ann_file}: image {item["image_id"]} has the caption {item["caption"]!r}; '
                    'a caption is a text that is not empty'
                )
            by_image.setdefault(item['image_id'], []).append(item['caption'])
        captions, ends = out.texts('caption'), out.numbers('captions_end')

        def add(texts: Collection[str]) -> None:
            for text in texts:
                captions.append(text)
            ends.append(len(captions))

        self.add_images(out, by_image, add)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences``, of ``sentence_group`` captions (one in test mode), ``sentence_rows``, and ``image_id``."""
        first, count = self.caption_start[index], self.caption_count[index]
        if self.test_mode:
            rows = [first]
        elif self.sentence_group == 1:
            rows = [rng.integers(first, first + count)]
        else:
            rows = first + np.resize(rng.permutation(count), self.sentence_group)
        return dict(sentences=[self.captions[row] for row in rows], sentence_rows=rows, image_id=self.image_id(index))


@DATASETS.register_module()
class ObjectLabelsDataset(CocoDataset):
    """Which kinds of objects an image shows.

    The annotation file is COCO's ``instances_*.json``. Categories become 1, 2,
    ... in the order of the file, so that 0 is free for padding; images without
    objects are left out.

    Args:
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        ValueError: An object of a category that the file does not list.
    """

    kind = 'coco_objects'

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.read_images()
        self.labels = self.index['label']
        self.label_start, self.label_count = spans(self.index['labels_end'], self.images.rows)

    def _scan(self, out: IndexBuilder) -> None:
        categories = [item['id'] for item in stream_array(self.ann_file, 'categories', required=('id',))]
        number = {category: i for i, category in enumerate(categories, start=1)}
        by_image: dict[int, set[int]] = {}
        for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'category_id')):
            if item['category_id'] not in number:
                raise UserError(
                    f'{self.ann_file}: image {item["image_id"]} has an object of category '
                    f'{item["category_id"]}, which the list of categories lacks'
                )
            by_image.setdefault(item['image_id'], set()).add(number[item['category_id']])
        labels, ends = out.numbers('label'), out.numbers('labels_end')

        def add(objects: Collection[int]) -> None:
            labels.extend(sorted(objects))
            ends.append(len(labels))

        self.add_images(out, by_image, add)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``label_set`` (K,) int64, in rising order, and ``image_id``."""
        first = self.label_start[index]
        return dict(label_set=self.labels[first : first + self.label_count[index]], image_id=self.image_id(index))
