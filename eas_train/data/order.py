"""The order of a training: which images make the batch of a step, as a function of the seed and the step alone.

A training that was stopped goes on exactly, and several processes train what one does, since the order needs no
memory of the steps before and does not know how many processes there are.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import InputError
from eas_train.data.photoset import PhotoSet
from eas_train.data.shards import PhotoShards
from eas_train.data.splits import Images

STREAMS = 8
"""Shards that are read at a time."""


class Order(Protocol):
    """Says which images are wanted when."""

    def batch(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """int64 [size], the images of one batch; it may reach over the end of an epoch."""
        ...


def order_of(images: Images, seed: int, rarity: float = 0.0) -> Order:
    """The order that suits where the images are: photos in shards are read shard after shard.

    Args:
        rarity: see `ByRarity`; 0 takes every image once an epoch.

    Raises:
        InputError: photos in shards by rarity, which would jump from shard to shard.
    """
    sharded = isinstance(images, PhotoSet) and isinstance(images.store, PhotoShards)
    if rarity and sharded:
        raise InputError(f"photos in shards are read shard after shard, whatever their class; got a rarity of {rarity}")
    if rarity:
        return ByRarity(images.targets, rarity, seed)
    if isinstance(images, PhotoSet) and isinstance(images.store, PhotoShards):
        return ShardEpochs(images.store.shard, seed)
    return Epochs(len(images), seed)


class Epochs:
    """Epoch after epoch, each a permutation that depends on seed and epoch alone."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self._permutation = functools.lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(count)
        )

    def batch(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """The indices of one batch; it may reach over the end of an epoch."""
        start = step * size
        epochs = range(start // self.count, (start + size - 1) // self.count + 1)
        order = np.concatenate([self._permutation(epoch) for epoch in epochs])
        return order[start - epochs[0] * self.count :][:size]


class ByRarity:
    """Images drawn by how rare their class is, one over the number of its images to a power, with repetition."""

    def __init__(self, targets: npt.NDArray[np.int64], power: float, seed: int) -> None:
        _, which, counts = np.unique(targets, return_inverse=True, return_counts=True)
        weights = counts.astype(np.float64)[which] ** -power
        self.seed, self._sums = seed, np.cumsum(weights) / weights.sum()

    def batch(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """The indices of one batch."""
        drawn = np.random.default_rng([self.seed, step]).random(size)
        return np.minimum(np.searchsorted(self._sums, drawn, side="right"), len(self._sums) - 1).astype(np.int64)


class ShardEpochs:
    """Epoch after epoch through shards, of which only a few are read at a time.

    In each epoch the shards are laid end to end in an order that depends on seed and epoch alone, the samples of each
    in an order of its own. That line is cut into equally long streams, and a batch takes equally many samples from each
    stream, one stream after another. A process has contiguous rows of a batch (`distributed.Share`), so that it reads
    the shards of its own streams. Streams go through their shards one after another; a shard at a cut is shared by the
    two streams that meet there.

    An epoch leaves out what does not divide by the number of streams, less than one sample for each; which, the epoch
    decides.

    Args:
        shard: int [N], the shard of each sample.
        streams: the most there may be. It is the greatest divisor of the batch size up to that, whatever the number of
            processes.

    Raises:
        InputError: there are no samples, or `streams` is less than 1.
    """

    def __init__(self, shard: npt.NDArray[np.integer], seed: int, streams: int = STREAMS) -> None:
        if not len(shard) or streams < 1:
            raise InputError(
                f"an order needs at least one sample and one stream; got {len(shard)} samples, {streams} streams"
            )
        self.count, self.most = len(shard), streams
        members = np.argsort(shard, kind="stable")
        counts = np.bincount(shard)
        starts = np.cumsum(counts) - counts
        filled = np.flatnonzero(counts)

        @functools.lru_cache(maxsize=2)
        def line(epoch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
            """Shards in their order, and where on the line each of them ends."""
            order = np.random.default_rng([seed, epoch]).permutation(filled)
            return order, np.cumsum(counts[order])

        @functools.lru_cache(maxsize=4 * streams)
        def samples(epoch: int, which: int) -> npt.NDArray[np.int64]:
            own = members[starts[which] : starts[which] + counts[which]]
            return np.random.default_rng([seed, epoch, which]).permutation(own)

        self._line, self._samples = line, samples

    def streams(self, size: int) -> int:
        """How many there are for a batch size."""
        return next(n for n in range(min(self.most, size, self.count), 0, -1) if size % n == 0)

    def batch(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """The indices of one batch, the rows of each stream together; it may reach over the end of an epoch."""
        streams = self.streams(size)
        each, rows = self.count // streams, size // streams
        wanted = np.arange(step * rows, (step + 1) * rows)
        batch = np.empty((streams, rows), np.int64)
        for epoch in range(step * rows // each, int(wanted[-1]) // each + 1):
            here = wanted // each == epoch
            batch[:, here] = self._at(epoch, np.arange(streams)[:, None] * each + wanted[here] % each)
        return batch.ravel()

    def _at(self, epoch: int, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The samples at some positions of an epoch's line."""
        order, ends = self._line(epoch)
        places = np.searchsorted(ends, positions, side="right")
        found = np.empty_like(positions)
        for place in np.unique(places):
            which, here = int(order[place]), places == place
            samples = self._samples(epoch, which)
            found[here] = samples[positions[here] - (ends[place] - len(samples))]
        return found
