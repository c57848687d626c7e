"""Which sample, in which epoch of which run: all that its random choices may depend on."""

from typing import NamedTuple, Union

import numpy as np


class SampleKey(NamedTuple):
    """What a sampler yields and a dataset is indexed by.

    Workers are copies of the dataset that live for many epochs; carrying the
    epoch in the key spares them from being told about it.
    """

    seed: int
    epoch: int
    index: int
    repeat: int = 0
    """How often the sample has come before in this epoch, where a sampler repeats rare ones."""

    @classmethod
    def of(cls, key: Union[int, 'SampleKey']) -> 'SampleKey':
        """A plain integer stands for that sample in epoch 0 of seed 0."""
        return key if isinstance(key, SampleKey) else cls(0, 0, int(key))

    def rng(self) -> np.random.Generator:
        """The generator of this sample's random choices, the same in whichever worker or rank."""
        return np.random.default_rng(np.random.SeedSequence(self if self.repeat else self[:3]))
