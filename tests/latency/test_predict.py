"""A latency table over the choices of a space."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given
from hypothesis import strategies as st
from latency.tables import random_table
from strategies import architectures, spaces

from eas_sdk.errors import TableError
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.segments import key, segments
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.elastic.space import ElasticSpace

SEEDS = st.integers(0, 2**32)
CLOSE = 1 + 1e-12


def places(space: ElasticSpace) -> dict[tuple[object, ...], str]:
    """The keys of all parts of several layers, and what lies before and behind the units layer by layer, by where they
    are: in order, smaller ones first."""
    found: dict[tuple[object, ...], str] = {}
    every = iter(space.every_part())
    for size in range(len(space.input_sizes)):
        found |= {(size, "before", i): key(part) for i, part in enumerate(segments(next(every).nodes))}
        for u, unit in enumerate(space.units):
            for b, k, e in np.ndindex(unit.depths[-1], len(unit.kernels), len(unit.expansions)):
                found[size, u, b, k, e] = key(next(every).nodes)
        found |= {(size, "behind", i): key(part) for i, part in enumerate(segments(next(every).nodes))}
    return found


def smaller(place: tuple[object, ...]) -> list[tuple[object, ...]]:
    """The places of the next smaller parts: of smaller images, and of blocks of smaller kernels or ratios."""
    size, *rest = place
    below = [(size - 1, *rest)]
    if len(rest) == 4:
        u, b, k, e = rest
        below += [(size, u, b, k - 1, e), (size, u, b, k, e - 1)]
    return below


def monotone(space: ElasticSpace, table: LatencyTable) -> LatencyTable:
    """The table with each part at least as slow as every smaller one in its place."""
    keys = places(space)
    timings = dict(table.timings)
    for _ in range(len(keys)):  # parts share keys: until nothing changes
        before = dict(timings)
        for place, here in keys.items():
            below = [keys[other] for other in smaller(place) if other in keys]
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
    ratios = len(SPACE.units[1].expansions)
    slow, fast = every[2], every[2 + ratios]  # kernels 3 and 5 of the second slot; the first is fixed
    assert [part[0].name for part in (slow, fast)] == ["unit1.block0.expand"] * 2
    timings = {**table.timings, key(slow): Timing(5.0, 0, 20), key(fast): Timing(1.0, 0, 20)}
    parts = choice_table(SPACE, dataclasses.replace(table, timings=timings), 3).parts
    block = parts[SPACE.grid[0]]
    assert block[1, 0, 0] == 5
    assert block[1, 1, 0] == 5
    assert (block[1] >= 5).all()
    assert block[2].min() < 5


def test_what_was_measured_faster_on_larger_images_counts_as_slow() -> None:
    table = random_table(SIZES, 1)
    every = [part.nodes for part in SIZES.every_part()]
    each = len(every) // 3
    assert [every[each * s][0].size for s in range(3)] == [32, 48, 64]
    timings = dict(table.timings)
    for part in (0, 4, each - 1):  # before the units, a block, behind the units
        for size, ms in enumerate((5.0, 7.0, 0.5)):
            timings |= {key(segment): Timing(ms, 0, 20) for segment in segments(every[part + each * size])}
    parts = choice_table(SIZES, dataclasses.replace(table, timings=timings), 3).parts
    for part, count in ((0, 2), (4, 1), (each - 1, 2)):
        assert len(segments(every[part])) == count
        found = parts[[1 + part + each * size for size in range(3)]]
        assert (found[:2] >= [5 * count, 7 * count]).all()
        assert found[2] == found[1]


def test_the_table_is_shared_and_cannot_be_changed() -> None:
    table = random_table(SPACE, 2)
    found = choice_table(SPACE, table, 3)
    assert choice_table(dataclasses.replace(SPACE), table, 3) is found
    assert choice_table(SPACE, dataclasses.replace(table, scale=2.0), 3).parts[1] == 2 * found.parts[1]
    with pytest.raises(ValueError, match="read-only"):
        found.parts[1] = 0


def test_a_segment_that_was_not_measured_is_named() -> None:
    table = random_table(SPACE, 2)
    name = key(list(SPACE.every_part())[-2].nodes)
    lacking = dataclasses.replace(table, timings={k: t for k, t in table.timings.items() if k != name})
    with pytest.raises(TableError) as caught:
        choice_table(SPACE, lacking, 3)
    assert name in str(caught.value)
