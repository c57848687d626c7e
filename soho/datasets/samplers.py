"""Samplers: the order of the samples, and their grouping into batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from soho.datasets.coco_detection import DetectionDataset
from soho.datasets.concat import AnyDataset
from soho.datasets.sample_key import SampleKey
from soho.registry import DATA_SAMPLERS

# Random streams of an epoch: 0 orders samples or batches, 1, 2, ... the groups of similar shape.
_ROUNDING = 1 << 16


class Place(NamedTuple):
    """How far a run had come in an epoch; the run that goes on may have another number of ranks, or larger batches."""

    epoch: int
    batches: int
    """Batches that each rank had taken."""
    batch_size: int
    """Samples of a rank's batch."""
    world_size: int

    @property
    def samples(self) -> int:
        """Samples that all ranks together had taken."""
        return self.batches * self.batch_size * self.world_size


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """Sampler of all samples, in an order that depends on (seed, epoch) alone.

    After :meth:`resume_at` that epoch begins at a place within, found without reading a sample.

    Args:
        dataset: The dataset.
        shuffle: Shuffle in every epoch; otherwise keep the dataset's order.
        seed: Seed of the run; ``None`` chooses one that all ranks share.
        round_up: Repeat samples so that all ranks get equally many, as
            training needs. Evaluation must not repeat any.
    """

    def __init__(
        self, dataset: AnyDataset, shuffle: bool = True, seed: int | None = None, round_up: bool = True
    ) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.round_up = round_up
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0
        self._place: tuple[Place, int] | None = None  # and the number of this run's batches that come to the same

    def resume_at(self, place: Place, batch_size: int) -> int:
        """Leave out what a run had taken of an epoch.

        Args:
            place: Where the run was.
            batch_size: Samples of a rank's batch in this run.

        Returns:
            The number of the next batch: ``place.batches``, if batches of all ranks together are as large as they were.
        """
        start = -(-place.samples // (batch_size * self.world_size))
        self._place = place, start * batch_size
        return start

    @property
    def _taken(self) -> int:
        """Samples of this epoch, of all ranks together, that a former run has taken."""
        if self._place is None or self._place[0].epoch != self.epoch:
            return 0
        return self._place[0].samples

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def members(self) -> np.ndarray:
        """Samples of this epoch, unordered."""
        return np.arange(len(self.dataset))

    def order(self, members: np.ndarray, stream: int = 0) -> np.ndarray:
        """``members`` in this epoch's order; ``stream`` distinguishes several orders of an epoch."""
        if not self.shuffle:
            return members
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, self.epoch, stream]))
        return members[rng.permutation(len(members))]

    def order_batches(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """Batches of items in this epoch's order."""
        return [batches[i] for i in self.order(np.arange(len(batches)))]

    def key(self, index: int | np.integer) -> SampleKey:
        return SampleKey(self.seed, self.epoch, int(index))

    def __iter__(self) -> Iterator[SampleKey]:
        order = self.order(self.members())[self._taken :]
        if self.round_up and len(order):
            order = np.resize(order, -(-len(order) // self.world_size) * self.world_size)
        return (self.key(i) for i in order[self.rank :: self.world_size])

    def size(self) -> int:
        """Number of samples of this epoch on all ranks together; asked in every iteration, so it counts nothing."""
        return len(self.dataset)

    def __len__(self) -> int:
        total = max(self.size() - self._taken, 0)
        rest = -(-total // self.world_size) if self.round_up else len(range(self.rank, total, self.world_size))
        return rest + self._place[1] if self._place is not None and self._taken else rest


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(EpochSampler):
    """Sampler that repeats images with rare categories (arXiv:1908.03195, appendix B.2).

    The repeat factor of a category in a fraction f of the images is
    max(1, sqrt(threshold / f)), that of an image the largest of its
    categories; fractions are rounded at random in every epoch. Repeats of an
    image are augmented independently.

    Args:
        dataset: A dataset with ``labels_of_items``.
        threshold: Fraction of the images below which a category is rare; 0.001 for LVIS.
        **kwargs: See :class:`EpochSampler`.
    """

    def __init__(self, dataset: DetectionDataset, threshold: float = 0.001, **kwargs) -> None:
        super().__init__(dataset, **kwargs)
        self.factors = repeat_factors([np.unique(labels) for labels in dataset.labels_of_items()], threshold)
        self._size: tuple[int, int] | None = None  # epoch, samples

    def size(self) -> int:
        if self._size is None or self._size[0] != self.epoch:
            self._size = self.epoch, len(self.members())
        return self._size[1]

    def members(self) -> np.ndarray:
        """Samples of this epoch; ``index + n * len(dataset)`` is the n-th repeat of a sample."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, self.epoch, _ROUNDING]))
        whole = np.floor(self.factors)
        times = (whole + (rng.random(len(whole)) < self.factors - whole)).astype(np.int64)
        return np.concatenate([n * len(times) + np.flatnonzero(times > n) for n in range(times.max())])

    def key(self, index: int | np.integer) -> SampleKey:
        repeat, index = divmod(int(index), len(self.dataset))
        return SampleKey(self.seed, self.epoch, index, repeat)


def repeat_factors(categories: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Repeat factor of each image: (N,) float64, at least 1.

    Args:
        categories: Distinct categories of each of N images.
        threshold: See :class:`RepeatFactorSampler`.
    """
    images, counts = np.unique(np.concatenate(categories), return_counts=True)
    factor = dict(zip(images.tolist(), np.maximum(1.0, np.sqrt(threshold * len(categories) / counts))))
    return np.array([max((factor[c] for c in of_image.tolist()), default=1.0) for of_image in categories])


@DATA_SAMPLERS.register_module()
class ShardSampler(EpochSampler):
    """Sampler that reads only a few tar shards at a time, for storage with slow random access.

    In every epoch the shards are shuffled, and samples are shuffled within each
    window of ``window`` consecutive shards. The order depends on (seed, epoch)
    alone, so that resuming and distribution work as with :class:`EpochSampler`.
    Images of the same shard are batched together more often than at random:
    write shards in random order (``tools/prepare/shards.py --shuffle``).

    Args:
        dataset: A dataset with ``shard``, the shard of each item.
        window: Shards that are shuffled together.
        **kwargs: See :class:`EpochSampler`.
    """

    _SHARDS = 1 << 31  # random stream of the shards' order

    def __init__(self, dataset: AnyDataset, window: int = 8, **kwargs) -> None:
        super().__init__(dataset, **kwargs)
        self.window = window
        self.shard = dataset.shard

    def _windows(self) -> np.ndarray:
        """(N,) int, the window in which each item is read in this epoch."""
        place = super().order(np.arange(self.shard.max() + 1), self._SHARDS)
        return place[self.shard] // self.window

    def order(self, members: np.ndarray, stream: int = 0) -> np.ndarray:
        if not self.shuffle:
            return members
        members = super().order(members, stream)
        return members[np.argsort(self._windows()[members], kind='stable')]

    def order_batches(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        if not self.shuffle:
            return batches
        window = self._windows()[[batch[0] for batch in batches]]
        shuffled = super().order(np.arange(len(batches)))
        return [batches[i] for i in shuffled[np.argsort(window[shuffled], kind='stable')]]


@DATA_SAMPLERS.register_module()
class AspectRatioBatchSampler(Sampler):
    """Batch sampler that groups images by aspect ratio, to reduce padding.

    A *global* batch of ``batch_size * world_size`` samples comes from one
    group and is split over the ranks: two ranks with half the batch size get
    the same global batches as one rank.

    Args:
        sampler: An :class:`EpochSampler`, which determines seed, epoch and rounding.
        batch_size: Samples per rank.
        boundaries: Aspect ratios (width / height) between the groups; the
            official recipe separates landscape from the rest.
        drop_last: Drop an incomplete global batch, instead of filling it from
            its group (training) or yielding it (evaluation).
    """

    def __init__(
        self, sampler: EpochSampler, batch_size: int, boundaries: Sequence[float] = (1.0,), drop_last: bool = False
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._sizes: tuple[int, np.ndarray] | None = None  # epoch, samples of each group
        self._place: tuple[Place, int] | None = None  # and the number of batches in its epoch
        ratio = np.asarray(sampler.dataset.aspect_ratio)  # (N, M)
        shapes = np.searchsorted(np.asarray(boundaries), ratio.reshape(len(ratio), -1), side='left')
        # The group of several images encodes the shapes of all, independent of their order.
        self._group = np.sort(shapes, 1) @ (len(boundaries) + 1) ** np.arange(shapes.shape[1])

    @property
    def groups(self) -> list[np.ndarray]:
        """Samples of this epoch, grouped by shape."""
        members = self.sampler.members()
        group = self._group[members % len(self._group)]
        return [members[group == g] for g in np.unique(group)]

    @property
    def global_size(self) -> int:
        return self.batch_size * self.sampler.world_size

    def group_sizes(self) -> np.ndarray:
        """(G,) int64, samples in each group of this epoch, counted once an epoch: a run asks in every iteration."""
        if self._sizes is None or self._sizes[0] != self.sampler.epoch:
            members = self.sampler.members()
            self._sizes = self.sampler.epoch, np.bincount(self._group[members % len(self._group)])
        return self._sizes[1]

    def _global_batches(self, batch_size: int, world_size: int) -> list[np.ndarray]:
        """Batches of all ranks together, in this epoch's order, in a run with ``batch_size`` samples a rank."""
        batches, size = [], batch_size * world_size
        for stream, members in enumerate(self.groups, start=1):
            members = self.sampler.order(members, stream)
            if self.drop_last:
                members = members[: len(members) // size * size]
            elif self.sampler.round_up:
                members = np.resize(members, -(-len(members) // size) * size)
            batches += [members[i : i + size] for i in range(0, len(members), size)]
        return self.sampler.order_batches(batches)

    def resume_at(self, place: Place, batch_size: int) -> int:
        """As :meth:`EpochSampler.resume_at`; where global batches differ in size, the rest is grouped anew."""
        start = -(-place.samples // self.global_size)
        self._place = place, start + len(self._rest(place))
        return start

    def _rest(self, place: Place) -> list[np.ndarray]:
        """Global batches that a former run has not taken; none of their samples is lost or was taken before."""
        former = self._global_batches(place.batch_size, place.world_size)
        left = former[place.batches :]
        if place.batch_size * place.world_size == self.global_size or not left:
            return left
        # Without what only fills a batch up: samples that were taken, or come again.
        samples, first = np.unique(np.concatenate(left), return_index=True)
        order = np.argsort(first)
        samples = samples[order]
        if place.batches:
            samples = samples[~np.isin(samples, np.concatenate(former[: place.batches]))]
        group = self._group[samples % len(self._group)]
        batches = []
        for number in np.unique(group):
            rows = np.flatnonzero(group == number)
            filled = np.resize(rows, -(-len(rows) // self.global_size) * self.global_size)
            batches += [filled[i : i + self.global_size] for i in range(0, len(filled), self.global_size)]
        return [samples[rows] for rows in sorted(batches, key=lambda rows: rows.min())]

    def _batches_of_epoch(self) -> list[np.ndarray]:
        if self._place is not None and self._place[0].epoch == self.sampler.epoch:
            return self._rest(self._place[0])
        return self._global_batches(self.batch_size, self.sampler.world_size)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        rank, world_size = self.sampler.rank, self.sampler.world_size
        for batch in self._batches_of_epoch():
            if self.sampler.round_up or self.drop_last:
                of_rank = batch[rank * self.batch_size : (rank + 1) * self.batch_size]
            else:
                of_rank = batch[rank::world_size]
            if len(of_rank):
                yield [self.sampler.key(i) for i in of_rank]

    def __len__(self) -> int:
        if self._place is not None and self._place[0].epoch == self.sampler.epoch:
            return self._place[1]
        return self._number_of_batches()

    def _number_of_batches(self) -> int:
        full, rest = np.divmod(self.group_sizes(), self.global_size)
        if self.drop_last:
            return int(full.sum())
        return int((full + (rest > (0 if self.sampler.round_up else self.sampler.rank))).sum())


@DATA_SAMPLERS.register_module()
class OfficialBatchSampler(AspectRatioBatchSampler):
    """Batch sampler of the official SOHO release (SOHO/datasets/loader/sampler.py, ``DistributedGroupSampler``).

    Its order depends on the epoch alone, each rank's batches are a contiguous
    part of all batches, and the batches of the ranks in a step may differ in
    orientation. It reproduces an official run sample by sample; otherwise
    prefer :class:`AspectRatioBatchSampler`, whose ranks share a canvas and
    which uses the seed.

    Args:
        sampler: An :class:`EpochSampler`, which determines epoch, ranks and dataset.
        batch_size: Samples per rank.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int) -> None:
        super().__init__(sampler, batch_size)

    def _global_batches(self, batch_size: int, world_size: int) -> list[np.ndarray]:
        generator, size = torch.Generator().manual_seed(self.sampler.epoch), batch_size * world_size
        order = []
        for members in self.groups:
            members = members[torch.randperm(len(members), generator=generator).numpy()]
            order.append(np.resize(members, -(-len(members) // size) * size))
        batches = np.concatenate(order).reshape(-1, batch_size)
        batches = batches[torch.randperm(len(batches), generator=generator).numpy()]
        # Row i of the result holds the i-th batch of every rank.
        by_rank = batches.reshape(world_size, -1, batch_size)
        return list(by_rank.transpose(1, 0, 2).reshape(-1, size))

    def _number_of_batches(self) -> int:
        return int((-(-self.group_sizes() // self.global_size)).sum())
