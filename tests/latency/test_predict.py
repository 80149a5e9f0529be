"""A latency table over the choices of a space."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import SPACE
from hypothesis import given
from hypothesis import strategies as st
from latency.tables import random_table
from strategies import architectures, spaces

from eas_sdk.errors import TableError
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.segments import key
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.elastic.space import ElasticSpace

SEEDS = st.integers(0, 2**32)
CLOSE = 1 + 1e-12


def monotone(space: ElasticSpace, table: LatencyTable) -> LatencyTable:
    """The table with each block at least as slow as every block of the space with smaller choices in its place."""
    keys = np.array([key(part.nodes) for part in space.every_part()], object)
    keys = keys.reshape(space.slots, len(space.kernels), len(space.expansions))
    timings = dict(table.timings)
    for _ in range(keys.size):  # blocks share keys: until nothing changes
        before = dict(timings)
        for slot, kernel, expansion in np.ndindex(keys.shape):
            here = keys[slot, kernel, expansion]
            below = [keys[slot, kernel - 1, expansion]] * (kernel > 0) + [keys[slot, kernel, expansion - 1]] * (
                expansion > 0
            )
            timings[here] = Timing(max(timings[name].median_ms for name in (here, *below)), 0.0, 20)
        if timings == before:
            break
    return dataclasses.replace(table, timings=timings)


@given(spaces(), SEEDS, st.data(), st.floats(0.1, 10), st.floats(0.01, 100))
def test_predictions_are_never_below_the_table_s(
    space: ElasticSpace, seed: int, data: st.DataObject, scale: float, factor: float
) -> None:
    table = random_table(space, seed, scale=scale, offset_ms=-0.03 * scale)
    drawn = data.draw(st.lists(architectures(space), min_size=1, max_size=4))
    classes = data.draw(st.integers(1, 80))
    found = choice_table(space, table, classes, factor).total(space, space.encode(drawn), classes)
    for total, architecture in zip(found, drawn, strict=True):
        assert total * CLOSE >= factor * table.latency_ms(space.structure(architecture, classes))


@given(spaces(), SEEDS, st.data(), st.floats(0.01, 100))
def test_predictions_are_the_table_s_where_larger_blocks_take_longer(
    space: ElasticSpace, seed: int, data: st.DataObject, factor: float
) -> None:
    table = monotone(space, random_table(space, seed, scale=1.2, offset_ms=0.7))
    drawn = data.draw(st.lists(architectures(space), min_size=1, max_size=4))
    classes = data.draw(st.integers(1, 80))
    found = choice_table(space, table, classes, factor).total(space, space.encode(drawn), classes)
    expected = [factor * table.latency_ms(space.structure(architecture, classes)) for architecture in drawn]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@given(spaces(), SEEDS, st.data())
def test_the_smallest_network_is_the_fastest_and_the_largest_the_slowest(
    space: ElasticSpace, seed: int, data: st.DataObject
) -> None:
    table = random_table(space, seed)
    drawn = [space.smallest, data.draw(architectures(space)), space.largest]
    low, middle, high = choice_table(space, table, 5).total(space, space.encode(drawn), 5).tolist()
    assert low <= middle <= high
    assert low == pytest.approx(table.latency_ms(space.structure(space.smallest, 5)))


def test_a_block_that_was_measured_faster_than_a_smaller_one_counts_as_slow() -> None:
    table = random_table(SPACE, 1)
    every = [part.nodes for part in SPACE.every_part()]
    slow, fast = every[0], every[len(SPACE.expansions)]  # kernels 3 and 5 of the first slot
    timings = {**table.timings, key(slow): Timing(5.0, 0, 20), key(fast): Timing(1.0, 0, 20)}
    block = SPACE.by_slot(choice_table(SPACE, dataclasses.replace(table, timings=timings), 3).parts)
    assert block[0, 0, 0] == 5
    assert block[0, 1, 0] == 5
    assert (block[0] >= 5).all()


def test_the_table_is_shared_and_cannot_be_changed() -> None:
    table = random_table(SPACE, 2)
    found = choice_table(SPACE, table, 3)
    assert choice_table(dataclasses.replace(SPACE), table, 3) is found
    assert choice_table(SPACE, dataclasses.replace(table, scale=2.0), 3).parts[1] == 2 * found.parts[1]
    with pytest.raises(ValueError, match="read-only"):
        found.parts[1] = 0


def test_a_segment_that_was_not_measured_is_named() -> None:
    table = random_table(SPACE, 2)
    name = key(list(SPACE.every_part())[-1].nodes)
    lacking = dataclasses.replace(table, timings={k: t for k, t in table.timings.items() if k != name})
    with pytest.raises(TableError) as caught:
        choice_table(SPACE, lacking, 3)
    assert name in str(caught.value)
