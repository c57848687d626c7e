"""Concatenation of datasets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from soho.datasets.base import ImageTextDataset
from soho.datasets.sample_key import SampleKey
from soho.errors import UserError
from soho.registry import DATASETS


@DATASETS.register_module(force=True)
class ConcatDataset(Dataset):
    """Datasets one after the other, with continuous indices.

    Args:
        datasets: Configs or datasets. The random choices of a sample depend on
            its index in the concatenation, over which ``image_index`` counts as well.
    """

    def __init__(self, datasets: Sequence[dict | ImageTextDataset]) -> None:
        self.datasets: list[ImageTextDataset] = [DATASETS.build(d) if isinstance(d, dict) else d for d in datasets]
        self.ends = np.cumsum([len(d) for d in self.datasets])

    @property
    def metainfo(self) -> dict[str, Any]:
        known = [dataset.metainfo for dataset in self.datasets]
        if len(known) > 1 and any({'image_ids', 'question_ids'} & info.keys() for info in known):
            raise UserError(
                'ids that are not all numbers are numbered by their place in each data set, so that '
                'predictions for several data sets in one could not be told apart: evaluate them one by one'
            )
        return known[0]

    @property
    def aspect_ratio(self) -> np.ndarray:
        """(len(self), M) float, width over height of each item's images."""
        return np.concatenate([d.aspect_ratio for d in self.datasets])

    @property
    def num_images(self) -> int:
        """M, images of a sample."""
        return self.datasets[0].num_images

    @property
    def shard(self) -> np.ndarray:
        """(len(self),) int, the tar shard of each item's first image, counted over all datasets."""
        shards, first = [], 0
        for dataset in self.datasets:
            shards.append(dataset.shard + first)
            first = shards[-1].max() + 1
        return np.concatenate(shards)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, key: int | SampleKey) -> dict[str, Any]:
        key = SampleKey.of(key)
        part = int(np.searchsorted(self.ends, key.index, side='right'))
        start = self.ends[part - 1] if part else 0
        sample = self.datasets[part].prepare(int(key.index - start), key.rng())
        if 'image_index' in sample:  # otherwise images of two data sets would pass for one
            sample['image_index'] = sample['image_index'] + start
        return sample


AnyDataset = ImageTextDataset | ConcatDataset
