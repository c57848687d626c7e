"""Key of a sample: index, epoch and seed, on which alone its random choices depend."""

from typing import NamedTuple, Union

import numpy as np


class SampleKey(NamedTuple):
    """Key that a sampler yields and a dataset is indexed by.

    Workers hold copies of the dataset for many epochs; they learn the current
    epoch from the key.
    """

    seed: int
    epoch: int
    index: int
    repeat: int = 0
    """Number of earlier occurrences in this epoch, for samplers that repeat rare samples."""

    @classmethod
    def of(cls, key: Union[int, np.integer, 'SampleKey']) -> 'SampleKey':
        """Return ``key`` as a SampleKey; an integer is that sample in epoch 0 with seed 0."""
        return key if isinstance(key, SampleKey) else cls(0, 0, int(key))

    def rng(self) -> np.random.Generator:
        """Generator of this sample's random choices, the same in every worker and rank."""
        return np.random.default_rng(np.random.SeedSequence(list(self if self.repeat else self[:3])))
