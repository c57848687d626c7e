"""What every image-text dataset has in common."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from logging import WARNING
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch.utils.data import Dataset

from soho.datasets.sample_key import SampleKey
from soho.datasets.storage.image_store import ImageError, ImageStore
from soho.datasets.storage.index import Index
from soho.datasets.storage.manifest import file_fingerprint
from soho.datasets.storage.packed_strings import PackedStrings
from soho.datasets.storage.prepared_tokens import PreparedTokens, Tokenizer, find_tokens
from soho.errors import UserError
from soho.registry import TRANSFORMS

MIN_SIDE = 32  # pixels; the official datasets drop smaller images from training


class ImageTable:
    """File name, id and size of each image of an annotation file, in flat arrays.

    Args:
        records: Items with ``file_name``, ``image_id`` and, all of them or none,
            ``width`` and ``height``; each is handed to ``take`` and then forgotten.
        take: Called with every item that is large enough.
        min_side: Smallest side in pixels.
    """

    def __init__(self, records: Iterator[dict], take: Callable[[dict], None], min_side: int) -> None:
        names, ids, sizes = [], [], []
        self.dropped = 0
        for record in records:
            if 'width' in record:
                if min(record['width'], record['height']) < min_side:
                    self.dropped += 1
                    continue
                sizes.append((record['height'], record['width']))
            names.append(record['file_name'])
            ids.append(str(record['image_id']))
            take(record)
        self.file_names = PackedStrings(names)
        self.image_ids = PackedStrings(ids)
        # (I, 2) of (h, w); None where nothing states them, and nobody reads every header to find out.
        self.sizes = np.asarray(sizes, np.int32).reshape(-1, 2) if sizes or not names else None
        self.rows = np.arange(len(names))

    @classmethod
    def of(cls, index: Index, min_side: int) -> 'ImageTable':
        """The images of an index that are large enough; ``rows`` are their numbers in it."""
        table = cls.__new__(cls)
        sizes = index['size'].reshape(-1, 2)
        table.rows = np.flatnonzero(sizes.min(1, initial=min_side) >= min_side)
        table.dropped = len(sizes) - len(table.rows)
        chosen = table.rows if table.dropped else slice(None)
        table.sizes = sizes[chosen]
        table.file_names, table.image_ids = index.texts('file_name'), index.texts('image_id')
        if table.dropped:
            table.file_names, table.image_ids = table.file_names.take(chosen), table.image_ids.take(chosen)
        return table

    def __len__(self) -> int:
        return len(self.file_names)


class ImageTextDataset(Dataset):
    """Base of the datasets: images, their sentences and a pipeline.

    A subclass reads its annotation file in ``load_annotations`` and describes one sample
    in ``get_annotation``. ``self.images`` (an :class:`ImageTable`) and
    ``self.item_images`` (the M images of each item, (N, M)) come from ``load_annotations``. Where it
    keeps ``self.index``, as datasets of millions of sentences do, spawned
    processes open that file instead of receiving its contents, and tokens that
    ``tools/prepare/tokens.py`` has made are used: ``kind`` names the index and
    ``column`` its sentences, whose rows ``get_annotation`` gives as ``sentence_rows``.

    Args:
        ann_file: Annotation file, below ``data_root``.
        images: Folder or zip of the images, below ``data_root``, as
            :class:`ImageStore` takes it; ``None`` for text alone.
        pipeline: Transforms of one sample.
        data_root: Put before ``ann_file`` and ``images``.
        sentence_group: Sentences S that share one image in a sample.
        test_mode: Every sample exactly once and nothing drawn at random.
        max_broken_images: How many undecodable or missing images may be
            skipped before that is an error; each is reported. In
            training another sample takes the place; in test mode an empty
            image does, so that no answer is missing.

    Raises:
        FileNotFoundError: The annotation file or the images are missing.
        ValueError: The annotation file is broken or empty, or lacks a key.
    """

    kind: str
    column: str

    def __init__(
        self,
        ann_file: str,
        images: str | None,
        pipeline: Sequence[dict | Callable],
        data_root: str = '',
        sentence_group: int = 1,
        test_mode: bool = False,
        max_broken_images: int = 0,
    ) -> None:
        self.ann_file = os.path.join(data_root, ann_file)
        self.sentence_group = sentence_group
        self.test_mode = test_mode
        self.max_broken_images = max_broken_images
        self.min_side = 0 if test_mode else MIN_SIDE
        self.store = ImageStore(os.path.join(data_root, images)) if images is not None else None
        self.pipeline = Compose([TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline])
        self.images: ImageTable
        self.item_images: np.ndarray
        self.index: Index | None = None
        self.tokens: PreparedTokens | None = None
        before = set(vars(self)) - {'index', 'tokens'}
        self._open()
        self._opened = set(vars(self)) - before
        # Which images are broken is known to all worker processes.
        self._broken = torch.zeros(len(self.images), dtype=torch.bool).share_memory_()
        if not len(self):
            raise UserError(
                f'{self.ann_file} holds no usable sample: '
                f'{self.images.dropped} images are smaller than {MIN_SIDE} pixels, '
                'no other has a sentence'
            )
        if self.images.dropped:
            print_log(
                f'{self.ann_file}: left out {self.images.dropped} images smaller than {MIN_SIDE} pixels', 'current'
            )

    def _open(self) -> None:
        self.load_annotations()
        if self.index is not None and self.index.path is not None and (tokenizer := self.tokenizer):
            self.tokens = find_tokens(self.ann_file, self.index, tokenizer)

    def load_annotations(self) -> None:
        """Fill ``self.images`` and ``self.item_images`` (N, M), rows of ``self.images``; M is 1 for most tasks."""
        raise NotImplementedError

    @property
    def tokenizer(self) -> Tokenizer | None:
        """That of the pipeline."""
        return next((step.tokenizer for step in self.pipeline.transforms if hasattr(step, 'tokenizer')), None)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """The sentences of item ``index`` and what belongs to them."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self.index is not None and self.index.path is not None:
            state = {key: value for key, value in state.items() if key not in self._opened}
            state['_origin'] = self.index.origin
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        origin = state.pop('_origin', None)
        vars(self).update(state)
        if origin is not None:
            if not file_fingerprint(self.ann_file).items() <= origin.items():
                raise RuntimeError(
                    f'{self.ann_file} has changed since this run opened it, and its samples would no '
                    'longer be those of the other processes: start the run again'
                )
            self._open()

    @property
    def metainfo(self) -> dict[str, Any]:
        """What metrics want to know of the dataset."""
        return {}

    @property
    def aspect_ratio(self) -> np.ndarray:
        """(len(self), M) float, width over height of each item's images.

        Raises:
            ValueError: The sizes are not known.
        """
        if self.images.sizes is None:
            raise UserError(
                f'{self.ann_file} does not say how large its images are, so batches cannot be made of '
                'like shapes: leave the batch sampler out and cut the images to one size'
            )
        size = self.images.sizes[self.item_images]
        return size[..., 1] / size[..., 0]

    @property
    def shard(self) -> np.ndarray:
        """(len(self),) int, the tar shard in which each item's first image lies; 0 where there is none."""
        if self.store is None:
            return np.zeros(len(self), np.int64)
        return self.store.shards_of(self.images.file_names)[self.item_images[:, 0]]

    def __len__(self) -> int:
        return len(self.item_images)

    @property
    def num_images(self) -> int:
        """M, images of a sample."""
        return self.item_images.shape[1]

    def __getitem__(self, key: int | SampleKey) -> dict[str, Any]:
        key = SampleKey.of(key)
        return self.prepare(key.index, key.rng())

    def prepare(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """The packed sample ``index`` with its random choices drawn from ``rng``."""
        tried: list[int] = [index]
        broken: set[int] = set()
        while True:
            try:
                return self.pipeline(self.sample(tried[-1], rng, broken))
            except ImageError as error:
                self._skip_broken(error, self.item_images[tried[-1], error.image_number])
                if not self.test_mode:
                    tried.append(self._pick_replacement(tried))
                elif error.image_number in broken:
                    raise
                else:
                    broken.add(error.image_number)

    def sample(self, index: int, rng: np.random.Generator, broken: Collection[int] = ()) -> dict[str, Any]:
        """What the pipeline starts from.

        Args:
            index: Of the item.
            rng: For all random choices.
            broken: Numbers of the item's images in whose place an empty one stands.

        Returns:
            The annotation, ``rng`` and ``tokens``; of one image ``image_store``, ``file_name`` and ``flipped``,
            of several ``images`` with a dict of these for each.
        """
        images: list[dict[str, Any]] = []
        for number, image in enumerate(self.item_images[index]):
            images.append(dict(image_store=self.store, file_name=self.images.file_names[image], rng=rng, flipped=False))
            if number in broken:
                images[-1]['image'] = np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8)
        annotation = dict(rng=rng, tokens=self.tokens, **self.get_annotation(index, rng))
        return dict(images[0], **annotation) if len(images) == 1 else dict(annotation, images=images)

    @property
    def broken_images(self) -> int:
        """How many images have been skipped, by all worker processes together."""
        return int(self._broken.sum())

    def _skip_broken(self, error: ImageError, image: int) -> None:
        reported = bool(self._broken[image])  # in an earlier epoch
        self._broken[image] = True
        count = self.broken_images
        if count > self.max_broken_images:
            raise (
                error
                if self.max_broken_images == 0
                else ImageError(
                    f'{count} images of {self.ann_file} could not be used, more than '
                    f'max_broken_images={self.max_broken_images}; the last: {error}'
                )
            ) from error
        if not reported:
            print_log(f'skipped ({count} of at most {self.max_broken_images}): {error}', 'current', WARNING)

    def _pick_replacement(self, tried: list[int]) -> int:
        """The next item of another image with like orientation, so that the batch keeps its canvas."""
        landscape = np.zeros(len(self), int) if self.images.sizes is None else (self.aspect_ratio > 1).sum(1)
        untried = ~np.isin(self.item_images, self.item_images[tried]).any(1)
        others = np.flatnonzero(untried & (landscape == landscape[tried[0]]))
        if not len(others):
            others = np.flatnonzero(untried)
        if not len(others):
            raise ImageError(f'{self.ann_file} has no image left that could stand in for a broken one')
        return int(others[np.searchsorted(others, tried[-1]) % len(others)])


def group_sentences(counts: np.ndarray, size: int, starts: np.ndarray | None = None) -> list[np.ndarray]:
    """Cut each image's sentences into groups of ``size``, the last one ragged.

    Args:
        counts: (I,) sentences of each image.
        size: Sentences a group.
        starts: (I,) number of each image's first sentence; by default they
            follow each other.

    Returns:
        Image of each group (G,), its first sentence (G,) counted over all
        images, and how many it holds (G,); int32 where that is enough.
    """
    if starts is None:
        starts = np.cumsum(counts) - counts
    groups = -(-counts // size)
    image = np.repeat(np.arange(len(counts)), groups)
    nth = (np.arange(groups.sum()) - np.repeat(np.cumsum(groups) - groups, groups)) * size
    first = starts[image] + nth
    length = np.minimum(counts[image] - nth, size)
    compact = np.int32 if len(first) == 0 or first.max() < 1 << 31 else np.int64
    return [image.astype(compact), first.astype(compact), length.astype(np.int32)]
