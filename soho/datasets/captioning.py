"""Images with one caption at a time, in COCO's own format."""
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from soho.datasets.base import ImageTable, ImageTextDataset
from soho.datasets.image_sizes import coco_sizes
from soho.datasets.json_files import stream_array
from soho.datasets.strings import PackedStrings
from soho.registry import DATASETS


class CocoDataset(ImageTextDataset):
    """Base of the datasets that read COCO's json files: an item is an image that has annotations."""

    def read_images(self, annotations: dict[int, Collection], take: Callable[[dict], None], folder: str = '') -> None:
        """Fill the table of images with those of ``annotations``, in its order.

        Args:
            annotations: By image id.
            take: See :class:`ImageTable`; an item's ``annotations`` are those of its image.
            folder: What file names begin with where they name the folder of the images, too.

        Raises:
            ValueError: An annotation of an image that the file does not list.
        """
        sizes = coco_sizes([self.ann_file])
        unknown = annotations.keys() - sizes.keys()
        if unknown:
            raise ValueError(f'{self.ann_file} has annotations of {len(unknown)} images that its list of images '
                             f'lacks; the first is {min(unknown)}')
        records = (dict(height=sizes[image].height, width=sizes[image].width, image_id=image, annotations=items,
                        file_name=sizes[image].file_name.removeprefix(folder))
                   for image, items in annotations.items())
        self.images = ImageTable(records, take, self.min_side)
        self.item_image = np.arange(len(self.images))

    def image_id(self, index: int) -> int:
        return int(self.images.image_ids[self.item_image[index]])


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
        ValueError: A caption that is no text.
    """

    def read(self) -> None:
        by_image: dict[int, list[str]] = {}
        for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'caption')):
            if not isinstance(item['caption'], str):
                raise ValueError(f'{self.ann_file}: image {item["image_id"]} has the caption {item["caption"]!r}; '
                                 'a caption is a text')
            by_image.setdefault(item['image_id'], []).append(item['caption'])
        captions: list[str] = []
        ends = [0]

        def take(record: dict) -> None:
            captions.extend(record['annotations'])
            ends.append(len(captions))

        self.read_images(by_image, take)
        self.captions = PackedStrings(captions)
        self.caption_ends = np.asarray(ends, np.int64)

    def describe(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences``, a list of ``sentence_group`` captions (one in test mode), and ``image_id``."""
        first, last = self.caption_ends[index], self.caption_ends[index + 1]
        if self.test_mode:
            chosen = [first]
        elif self.sentence_group == 1:
            chosen = [rng.integers(first, last)]
        else:
            chosen = first + np.resize(rng.permutation(last - first), self.sentence_group)
        return dict(sentences=[self.captions[i] for i in chosen], image_id=self.image_id(index))


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

    def read(self) -> None:
        categories = [item['id'] for item in stream_array(self.ann_file, 'categories', required=('id',))]
        number = {category: i for i, category in enumerate(categories, start=1)}
        by_image: dict[int, set[int]] = {}
        for item in stream_array(self.ann_file, 'annotations', required=('image_id', 'category_id')):
            if item['category_id'] not in number:
                raise ValueError(f'{self.ann_file}: image {item["image_id"]} has an object of category '
                                 f'{item["category_id"]}, which the list of categories lacks')
            by_image.setdefault(item['image_id'], set()).add(number[item['category_id']])
        labels: list[int] = []
        ends = [0]

        def take(record: dict) -> None:
            labels.extend(sorted(record['annotations']))
            ends.append(len(labels))

        self.read_images(by_image, take)
        self.labels = np.asarray(labels, np.int64)
        self.label_ends = np.asarray(ends, np.int64)

    def describe(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``labels`` (K,) int64, in rising order, and ``image_id``."""
        part = slice(self.label_ends[index], self.label_ends[index + 1])
        return dict(labels=self.labels[part], image_id=self.image_id(index))
