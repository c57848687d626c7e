"""Base class of the datasets, and functions that several of them use."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from logging import WARNING
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch.utils.data import Dataset

from soho.datasets.image_table import ImageTable
from soho.datasets.sample_key import SampleKey
from soho.datasets.storage.checksums import stamp_file
from soho.datasets.storage.image_store import ImageError, ImageStore
from soho.datasets.storage.index import Index
from soho.datasets.storage.prepared_tokens import PreparedTokens, Tokenizer, find_tokens
from soho.datasets.storage.zip_reader import MAX_BYTES
from soho.errors import UserError
from soho.registry import TRANSFORMS

MIN_SIDE = 32  # pixels; the official datasets drop smaller images from training


class ImageTextDataset(Dataset):
    """Base class of the datasets: images, their sentences and a pipeline.

    A subclass reads its annotation file in ``load_annotations``, which sets
    ``self.images`` (an :class:`ImageTable`) and ``self.item_images`` (the M
    images of each item, (N, M)), and returns the annotation of one item from
    ``get_annotation``. A dataset of millions of sentences also sets
    ``self.index``: spawned processes then open that file instead of receiving
    its contents, and tokens prepared by ``tools/prepare/tokens.py`` are used.
    ``kind`` names the index and ``column`` its sentences, whose rows
    ``get_annotation`` returns as ``sentence_rows``.

    Args:
        ann_file: Annotation file, below ``data_root``.
        images: Folder or zip of the images, below ``data_root``, as
            :class:`ImageStore` takes it; ``None`` for text alone.
        pipeline: Transforms of one sample.
        data_root: Prefix of ``ann_file`` and ``images``.
        sentence_group: Sentences S that share one image in a sample.
        test_mode: Every sample exactly once, without random choices.
        max_broken_images: Number of undecodable or missing images that may be
            skipped before an error is raised; each is reported. In training
            another sample replaces them; in test mode an empty image does, so
            that no prediction is missing.
        max_image_bytes: Size of the largest image file that is read, uncompressed where it lies in an archive; a larger
            one counts as broken.

    Raises:
        FileNotFoundError: The annotation file or the images are missing.
        UserError: The annotation file is broken or empty, or lacks a key.
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
        max_image_bytes: int = MAX_BYTES,
    ) -> None:
        self.ann_file = os.path.join(data_root, ann_file)
        self.sentence_group = sentence_group
        self.test_mode = test_mode
        self.max_broken_images = max_broken_images
        self.min_side = 0 if test_mode else MIN_SIDE
        self.max_image_bytes = max_image_bytes
        self.store = ImageStore(os.path.join(data_root, images), max_image_bytes) if images is not None else None
        self.pipeline = Compose([TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline])
        self.images: ImageTable
        self.item_images: np.ndarray
        self.index: Index | None = None
        self.tokens: PreparedTokens | None = None
        before = set(vars(self)) - {'index', 'tokens'}
        self._open()
        self._opened = set(vars(self)) - before
        # Shared, so that all worker processes know the broken images.
        self._broken = torch.zeros(len(self.images), dtype=torch.bool).share_memory_()
        if not len(self):
            raise UserError(
                f'{self.ann_file} holds no usable sample: '
                f'{self.images.dropped} images are smaller than {MIN_SIDE} pixels, '
                'and no other has a sentence'
            )
        if self.images.dropped:
            print_log(
                f'{self.ann_file}: left out {self.images.dropped} images smaller than {MIN_SIDE} pixels', 'current'
            )

    def _open(self) -> None:
        try:
            self.load_annotations()
        except UserError as error:
            if self.ann_file in str(error):
                raise
            raise UserError(f'{self.ann_file}: {error}') from error
        if self.index is not None and self.index.path is not None and (tokenizer := self.tokenizer):
            self.tokens = find_tokens(self.ann_file, self.index, tokenizer)

    def load_annotations(self) -> None:
        """Set ``self.images`` and ``self.item_images`` (N, M), rows of ``self.images``; M is 1 for most tasks."""
        raise NotImplementedError

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Tokenizer of the pipeline; ``None`` if it has none."""
        return next((step.tokenizer for step in self.pipeline.transforms if hasattr(step, 'tokenizer')), None)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Sentences of item ``index`` and their labels."""
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
            if not stamp_file(self.ann_file).items() <= origin.items():
                raise RuntimeError(
                    f'{self.ann_file} has changed since this run opened it, so its samples would '
                    'differ from those of the other processes: start the run again'
                )
            self._open()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Information for heads and metrics, such as the names of the classes."""
        return {}

    def id_metainfo(self) -> dict[str, Any]:
        """``image_ids``, the id for each number of an image in batches, where a metric needs it to name the images."""
        # In training nothing does, and checkpoints contain the metainfo of the training data.
        ids = self.images.original_ids() if self.test_mode else None
        return {} if ids is None else dict(image_ids=ids)

    @property
    def aspect_ratio(self) -> np.ndarray:
        """(len(self), M) float, width over height of each item's images.

        Raises:
            UserError: The annotations do not state the sizes.
        """
        if self.images.sizes is None:
            raise UserError(
                f'{self.ann_file} does not state the sizes of its images, so batches cannot be grouped by '
                'shape: remove the batch sampler and crop the images to one size'
            )
        size = self.images.sizes[self.item_images]
        return size[..., 1] / size[..., 0]

    @property
    def shard(self) -> np.ndarray:
        """(len(self),) int, the tar shard of each item's first image; 0 where there are no shards."""
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
        """Return sample ``index`` after the pipeline, with random choices from ``rng``."""
        tried: list[int] = [index]
        broken: set[int] = set()
        while True:
            try:
                sample = self.pipeline(self.sample(tried[-1], rng, broken))
                assert sample is not None, 'a transform returns the sample, never None'
                return sample
            except ImageError as error:
                self._skip_broken(error, self.item_images[tried[-1], error.image_number])
                if not self.test_mode:
                    tried.append(self._pick_replacement(tried))
                elif error.image_number in broken:
                    raise
                else:
                    broken.add(error.image_number)

    def sample(self, index: int, rng: np.random.Generator, broken: Collection[int] = ()) -> dict[str, Any]:
        """Input of the pipeline.

        Args:
            index: Index of the item.
            rng: Generator of all random choices.
            broken: Numbers of the item's images that are replaced by an empty one.

        Returns:
            The annotation, ``rng`` and ``tokens``; for one image ``image_store``, ``file_name`` and ``flipped``,
            for several ``images`` with a dict of these for each.

        Raises:
            UserError: The file of the index has been cut off since it was opened.
        """
        if self.index is not None:
            self.index.check_length()
        images: list[dict[str, Any]] = []
        for number, image in enumerate(self.item_images[index]):
            images.append(dict(image_store=self.store, file_name=self.images.file_names[image], rng=rng, flipped=False))
            if number in broken:
                images[-1]['image'] = np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8)
        annotation = dict(rng=rng, tokens=self.tokens, **self.get_annotation(index, rng))
        return dict(images[0], **annotation) if len(images) == 1 else dict(annotation, images=images)

    @property
    def broken_images(self) -> int:
        """Number of images skipped by all worker processes together."""
        return int(self._broken.sum())

    def _skip_broken(self, error: ImageError, image: int) -> None:
        reported = bool(self._broken[image])  # in an earlier epoch
        self._broken[image] = True
        count = self.broken_images
        if count > self.max_broken_images:
            few = f'max_broken_images={self.max_broken_images}'
            raise type(error)(
                f'{error}; {few} of the dataset {self.ann_file} lets none be skipped'
                if self.max_broken_images == 0
                else f'{count} images of {self.ann_file} could not be used, more than {few}; the last: {error}'
            ) from error
        if not reported:
            print_log(f'skipped ({count} of at most {self.max_broken_images}): {error}', 'current', WARNING)

    def _pick_replacement(self, tried: list[int]) -> int:
        """Next item of another image with the same orientation, so that the batch keeps its canvas."""
        landscape = np.zeros(len(self), int) if self.images.sizes is None else (self.aspect_ratio > 1).sum(1)
        untried = ~np.isin(self.item_images, self.item_images[tried]).any(1)
        others = np.flatnonzero(untried & (landscape == landscape[tried[0]]))
        if not len(others):
            others = np.flatnonzero(untried)
        if not len(others):
            raise ImageError(f'{self.ann_file} has no image left that could replace a broken one')
        return int(others[np.searchsorted(others, tried[-1]) % len(others)])


def first_id(ids: Iterable[int | str]) -> int | str:
    """Return the first of some ids in their order."""
    return min(ids, key=id_order)


def id_order(identity: int | str) -> tuple[bool, int | str]:
    """Key that sorts ids: numbers by size, then texts by the alphabet."""
    return isinstance(identity, str), identity


def group_sentences(counts: np.ndarray, size: int, starts: np.ndarray | None = None) -> list[np.ndarray]:
    """Split the sentences of each image into groups of ``size``, the last of which may be smaller.

    Args:
        counts: (I,) number of sentences of each image.
        size: Sentences per group.
        starts: (I,) index of each image's first sentence; by default the
            images follow each other.

    Returns:
        Image of each group (G,), index of its first sentence (G,) counted over
        all images, and its number of sentences (G,); int32 where that is enough.
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
