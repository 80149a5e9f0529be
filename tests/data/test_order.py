"""The order of photos in shards: each once in an epoch, a few shards at a time, the same however it is reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

pytest.importorskip("torch")

from eas_sdk.errors import InputError
from eas_train.data.order import STREAMS, ShardEpochs

shards = (
    st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any).map(lambda c: np.repeat(np.arange(len(c)), c))
)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 24)


def columns(order: ShardEpochs, size: int, epoch: int) -> np.ndarray:
    """The samples of one epoch, streams x samples, put together from batches."""
    streams = order.streams(size)
    each, rows = order.count // streams, size // streams
    steps = range(epoch * each // rows, -(-(epoch + 1) * each // rows))
    whole = np.concatenate([order.batch(step, size).reshape(streams, rows) for step in steps], axis=1)
    return whole[:, epoch * each - steps[0] * rows :][:, :each]


@given(shards, seeds, sizes, st.integers(0, 3))
def test_an_epoch_has_no_sample_twice_and_leaves_out_less_than_one_a_stream(
    shard: np.ndarray, seed: int, size: int, epoch: int
) -> None:
    order = ShardEpochs(shard, seed)
    seen = columns(order, size, epoch).ravel()
    assert len(set(seen.tolist())) == len(seen) > len(shard) - order.streams(size)
    assert 0 <= seen.min() <= seen.max() < len(shard)


@given(shards, seeds, sizes, st.integers(0, 3))
def test_streams_go_through_their_shards_one_after_another(shard: np.ndarray, seed: int, size: int, epoch: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(shard)  # samples of a shard need not lie together
    order = ShardEpochs(shuffled, seed)
    of_streams = [shuffled[stream] for stream in columns(order, size, epoch)]
    for one in of_streams:
        assert 1 + np.count_nonzero(np.diff(one)) == len(set(one.tolist()))
    present = len(np.unique(shard))
    assert sum(len(set(one.tolist())) for one in of_streams) <= present + order.streams(size) - 1


@given(shards, seeds, st.sampled_from([8, 16, 24]), st.sampled_from([2, 4, 8]), st.integers(0, 3))
def test_a_process_reads_the_shards_of_its_own_streams(
    shard: np.ndarray, seed: int, size: int, processes: int, epoch: int
) -> None:
    """Two of them meet in one shard at most, where the line of all shards is cut between them."""
    assume(len(shard) >= STREAMS)
    own = [
        set(shard[rows].tolist())
        for rows in np.split(columns(ShardEpochs(shard, seed), size, epoch).ravel(), processes)
    ]
    assert sum(map(len, own)) <= len(set().union(*own)) + processes - 1


@given(shards, seeds, sizes, st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_a_batch_depends_on_its_step_alone(shard: np.ndarray, seed: int, size: int, steps: list[int]) -> None:
    used = ShardEpochs(shard, seed)
    for step in steps:
        batch = used.batch(step, size)
        assert batch.dtype == np.int64
        assert batch.shape == (size,)
        np.testing.assert_array_equal(batch, ShardEpochs(shard, seed).batch(step, size))


def test_epochs_and_seeds_differ() -> None:
    shard = np.repeat(np.arange(10), 20)
    one, other = ShardEpochs(shard, 0), ShardEpochs(shard, 1)
    assert one.batch(0, 40).tolist() != other.batch(0, 40).tolist()
    first, second = columns(one, 40, 0), columns(one, 40, 1)
    assert [s[0] for s in shard[first].tolist()] != [s[0] for s in shard[second].tolist()]
    assert sorted(first.ravel()) == sorted(second.ravel()) == list(range(200))
    inside = first[0][shard[first[0]] == shard[first[0][0]]]
    assert sorted(inside) != inside.tolist()


@pytest.mark.parametrize(("size", "streams"), [(128, 8), (100, 5), (12, 6), (7, 7), (37, 1), (4, 4)])
def test_streams_divide_the_batch(size: int, streams: int) -> None:
    assert ShardEpochs(np.repeat(np.arange(10), 20), 0).streams(size) == streams


def test_fewer_samples_than_streams_make_batches_too() -> None:
    order = ShardEpochs(np.array([4, 4, 9]), 0)
    assert sorted(columns(order, 9, 0).ravel().tolist()) == [0, 1, 2]
    assert set(order.batch(5, 16).tolist()) <= {0, 1, 2}


def test_an_order_needs_samples_and_streams() -> None:
    with pytest.raises(InputError, match="at least one sample and one stream; got 0 samples"):
        ShardEpochs(np.array([], np.int32), 0)
    with pytest.raises(InputError, match="got 1 samples, 0 streams"):
        ShardEpochs(np.array([0]), 0, streams=0)
