"""Strings in flat arrays, and the keys that random choices follow from."""

import pickle

import numpy as np
import pytest

from soho.datasets.sample_key import SampleKey
from soho.datasets.storage.packed_strings import PackedStrings


@pytest.mark.parametrize('strings', [[], [''], ['a', '', 'größe', '猫', '😀 two\nlines']])
def test_strings_come_back(strings):
    packed = pickle.loads(pickle.dumps(PackedStrings(strings)))
    assert len(packed) == len(strings) and [packed[i] for i in range(len(packed))] == strings
    assert [string.decode() for string in packed.padded()] == strings


def test_each_part_of_a_key_changes_the_draws():
    draws = {SampleKey(*key).rng().integers(1 << 62) for key in np.ndindex(4, 4, 4)}
    assert len(draws) == 64
    assert SampleKey(1, 2, 3).rng().random() == SampleKey(1, 2, 3).rng().random()


def test_a_number_is_a_key_of_epoch_0():
    assert SampleKey.of(5) == SampleKey.of(np.int64(5)) == SampleKey(0, 0, 5) == SampleKey.of(SampleKey(0, 0, 5))
