"""Order, aspect-ratio groups, and what each rank gets."""

from collections import Counter

import numpy as np
import pytest

from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import (
    AspectRatioBatchSampler,
    EpochSampler,
    RepeatFactorSampler,
    ShardSampler,
    repeat_factors,
)


class Shapes:
    """A dataset of which only the number and the aspect ratios are asked."""

    def __init__(self, aspect_ratio):
        self.aspect_ratio = np.asarray(aspect_ratio, float)

    def __len__(self):
        return len(self.aspect_ratio)


# 13 upright, 4 square, 20 landscape; a square is not landscape.
DATA = Shapes([0.75] * 13 + [1.0] * 4 + [1.5] * 20)


def samplers(world_size, batch_size=None, epoch=0, shuffle=True, round_up=True, **options):
    """One sampler a rank."""
    ranks = []
    for rank in range(world_size):
        sampler = EpochSampler(DATA, shuffle=shuffle, seed=3, round_up=round_up)
        sampler.rank, sampler.world_size = rank, world_size
        sampler.set_epoch(epoch)
        ranks.append(sampler if batch_size is None else AspectRatioBatchSampler(sampler, batch_size, **options))
    return ranks


def indices(batch):
    return [key.index for key in batch]


def test_the_order_follows_from_seed_and_epoch():
    first, again, other = (indices(samplers(1, epoch=epoch)[0]) for epoch in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(37)) != first
    assert indices(samplers(1, shuffle=False)[0]) == list(range(37))
    assert {(key.seed, key.epoch) for key in samplers(1, epoch=5)[0]} == {(3, 5)}


@pytest.mark.parametrize('world_size', [2, 3, 5])
def test_ranks_share_what_one_process_sees(world_size):
    training = [indices(sampler) for sampler in samplers(world_size)]
    assert {len(part) for part in training} == {-(-37 // world_size)}
    assert set(sum(training, [])) == set(range(37))
    evaluation = samplers(world_size, shuffle=False, round_up=False)
    assert Counter(i for sampler in evaluation for i in indices(sampler)) == Counter(range(37))
    assert [len(indices(sampler)) for sampler in evaluation] == [len(sampler) for sampler in evaluation]


def test_a_batch_is_of_one_shape():
    batches = [indices(batch) for batch in samplers(1, 4)[0]]
    assert {len(batch) for batch in batches} == {4}
    assert all(len({bool(DATA.aspect_ratio[i] > 1) for i in batch}) == 1 for batch in batches)
    assert set(sum(batches, [])) == set(range(37))
    three = [indices(batch) for batch in samplers(1, 4, boundaries=[0.8, 1.2])[0]]
    assert all(len({DATA.aspect_ratio[i] for i in batch}) == 1 for batch in three)


def test_groups_are_mixed_in_time():
    kinds = [DATA.aspect_ratio[indices(batch)[0]] > 1 for batch in samplers(1, 2)[0]]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)


@pytest.mark.parametrize('drop_last', [False, True])
def test_two_ranks_see_the_batches_of_one(drop_last):
    whole = [indices(batch) for batch in samplers(1, 4, drop_last=drop_last)[0]]
    halves = [[indices(batch) for batch in rank] for rank in samplers(2, 2, drop_last=drop_last)]
    assert [first + second for first, second in zip(*halves, strict=True)] == whole
    assert len(whole) == (9 if drop_last else 10) == len(samplers(2, 2, drop_last=drop_last)[1])


@pytest.mark.parametrize('world_size', [1, 2, 3])
@pytest.mark.parametrize('batch_size', [1, 4])
def test_evaluation_has_no_duplicates(world_size, batch_size):
    ranks = samplers(world_size, batch_size, shuffle=False, round_up=False)
    batches = [[indices(batch) for batch in rank] for rank in ranks]
    assert Counter(i for rank in batches for batch in rank for i in batch) == Counter(range(37))
    assert [len(rank) for rank in batches] == [len(rank) for rank in ranks]
    assert all(0 < len(batch) <= batch_size for rank in batches for batch in rank)


@pytest.mark.parametrize('world_size', [1, 2, 3])
@pytest.mark.parametrize('drop_last', [False, True])
def test_all_ranks_train_equally_long(world_size, drop_last):
    ranks = samplers(world_size, 3, drop_last=drop_last)
    lengths = [[len(batch) for batch in rank] for rank in ranks]
    assert all(length == [3] * len(ranks[0]) for length in lengths)


class Tail:
    """100 images of category 0; image 5 shows the rare category 1, too; images 0 to 49 are wide."""

    aspect_ratio = np.where(np.arange(100) < 50, 1.5, 0.5)

    def __len__(self):
        return 100

    def labels_of_items(self):
        return (np.array([0, 0, 1] if i == 5 else [0]) for i in range(100))


def test_images_of_rare_categories_are_repeated():
    factors = repeat_factors([np.unique(labels) for labels in Tail().labels_of_items()], threshold=0.1225)
    assert factors[5] == pytest.approx(3.5) and np.delete(factors, 5).max() == 1  # sqrt(0.1225 / 0.01)
    sampler = RepeatFactorSampler(Tail(), threshold=0.1225, seed=0)
    times = []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {key.index for key in keys} == set(range(100)) and len(keys) == len(sampler)
        repeats = sorted(key.repeat for key in keys if key.index == 5)
        assert repeats == list(range(len(repeats)))
        times.append(len(repeats))
    assert set(times) == {3, 4} and np.mean(times) == pytest.approx(3.5, abs=0.2)
    # What is drawn for a repeat is its own; without one it is what it has always been.
    draws = {SampleKey(0, 0, 5, repeat).rng().random() for repeat in range(4)}
    assert (
        len(draws) == 4
        and SampleKey(0, 0, 5).rng().random() == np.random.default_rng(np.random.SeedSequence((0, 0, 5))).random()
    )


def test_repeated_images_share_batches_with_images_of_their_shape():
    sampler = RepeatFactorSampler(Tail(), threshold=0.1225, seed=0)
    batches = list(AspectRatioBatchSampler(sampler, 4, drop_last=True))
    for batch in batches:
        assert len({key.index < 50 for key in batch}) == 1
    assert sum(key.index == 5 for batch in batches for key in batch) >= 2


class Sharded(Shapes):
    """400 items in 20 shards, dealt out one by one; of every four in a shard one is upright."""

    def __init__(self):
        super().__init__(np.where(np.arange(400) // 20 % 4, 1.5, 0.75))
        self.shard = np.arange(400) % 20


@pytest.mark.parametrize('batch_size', [None, 5])
def test_only_a_few_shards_are_read_at_a_time(batch_size):
    data = Sharded()
    sampler = ShardSampler(data, window=4, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        keys = list(sampler) if batch_size is None else sum(AspectRatioBatchSampler(sampler, batch_size), [])
        orders.append([key.index for key in keys])
    assert orders[0] == orders[2] != orders[1]
    for order in orders:
        assert set(order) == set(range(400))
        # A shard is read from its first to its last item while three others are, not all twenty.
        shard = data.shard[order]
        reach = [np.flatnonzero(shard == s) for s in range(20)]
        assert max(places[-1] - places[0] for places in reach) < 80
        # Inside a window they are mixed.
        assert np.mean(shard[1:] == shard[:-1]) < 0.4


def test_ranks_of_a_sharded_set_share_what_one_process_sees():
    data = Sharded()
    parts = []
    for rank, world_size in ((0, 1), (0, 2), (1, 2)):
        sampler = ShardSampler(data, window=4, seed=3)
        sampler.rank, sampler.world_size = rank, world_size
        parts.append([indices(batch) for batch in AspectRatioBatchSampler(sampler, 8 // world_size)])
    whole, first, second = parts
    assert [a + b for a, b in zip(first, second, strict=True)] == whole
    still = ShardSampler(data, shuffle=False, seed=3)
    assert indices(still) == list(range(400))


@pytest.mark.parametrize('options', [dict(), dict(drop_last=True)])
@pytest.mark.parametrize('round_up', [True, False])
def test_the_length_is_counted_once_an_epoch(options, round_up, monkeypatch):
    sampler = EpochSampler(DATA, seed=0, round_up=round_up)
    batches = AspectRatioBatchSampler(sampler, 4, boundaries=[0.8, 1.2], **options)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert len(batches) == len(list(batches))
        with monkeypatch.context() as patch:
            patch.setattr(EpochSampler, 'members', None)  # nothing that grows with the data is looked at again
            assert len(batches) == len(batches) > 0 and len(sampler) == len(DATA)


def test_the_length_with_repeats_follows_the_epoch():
    class Rare:
        def __len__(self):
            return 50

        def labels_of_items(self):
            return (np.array([index % 7]) for index in range(50))

    sampler = RepeatFactorSampler(Rare(), threshold=0.3, seed=0)
    sizes = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        assert len(sampler) == len(list(sampler))
        sizes.append(len(sampler))
    assert len(set(sizes)) > 1


def test_the_number_of_batches_with_repeats_follows_the_epoch():
    sampler = RepeatFactorSampler(Tail(), threshold=0.1225, seed=0)
    batches, lengths = AspectRatioBatchSampler(sampler, 1), set()
    for epoch in range(10):
        sampler.set_epoch(epoch)
        assert len(batches) == len(list(batches))
        lengths.add(len(batches))
    assert lengths == {102, 103}
