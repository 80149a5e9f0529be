"""Quick tables: what a few whole networks say of every segment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import SIZES, SPACE
from cell_spaces import SPACES as CELLS
from hypothesis import given, settings
from hypothesis import strategies as st
from latency.tables import CONDITIONS, node_ms
from strategies import architectures, spaces

from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.check import random_networks
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.quick import CLASSES, LEAST_NETWORKS, MOST_NETWORKS, quick_table
from eas_sdk.latency.segments import segments
from eas_sdk.latency.store import CLASSIFIERS
from eas_sdk.latency.table import read, write
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space


def network_ms(graph: Graph) -> float:
    return sum(node_ms(node) for node in graph.nodes)


def made(space: Space, times_ms=lambda graph: [network_ms(graph)] * 3, seconds: float = 1e9):
    return quick_table(times_ms, CONDITIONS, space, space_segments(space, CLASSIFIERS), seconds)


@given(spaces(), st.data())
@settings(max_examples=20)
def test_it_predicts_what_layers_and_multiply_adds_take(space: ElasticSpace, data: st.DataObject) -> None:
    found = made(space)
    assert found.error < 1e-6
    nodes = space.structure(data.draw(architectures(space)), CLASSES)
    assert found.table.latency_ms(nodes) == pytest.approx(sum(map(node_ms, nodes)), rel=1e-4)


@pytest.mark.parametrize("space", [SPACE, SIZES, *CELLS.values()], ids=["elastic", "sizes", *CELLS])
def test_every_network_of_the_space_has_a_time(space: Space) -> None:
    found = made(space)
    assert found.table.quick
    assert found.networks == MOST_NETWORKS
    for _, nodes in random_networks(space, 10, 7, seed=3):
        assert found.table.lacks(segments(nodes)[:-1]) == []
        assert found.table.latency_ms(nodes) == pytest.approx(sum(map(node_ms, nodes)), rel=1e-6)
    assert (choice_table(space, found.table, 9).parts >= 0).all()


def test_a_run_that_was_disturbed_changes_little() -> None:
    """All networks are disturbed once; the level is that of the median run, not of the fastest."""
    rng = np.random.default_rng(0)

    def times_ms(graph: Graph) -> list[float]:
        ms = network_ms(graph)
        return [ms, 1.1 * ms, ms * rng.uniform(2, 50)]

    found = made(SPACE, times_ms)
    for _, nodes in random_networks(SPACE, 5, 7, seed=3):
        assert found.table.latency_ms(nodes) == pytest.approx(1.1 * sum(map(node_ms, nodes)), rel=1e-6)


def test_no_segment_takes_less_than_nothing_whatever_was_measured() -> None:
    rng = np.random.default_rng(0)
    found = made(SPACE, lambda graph: rng.uniform(0.1, 10, 3).tolist())
    assert all(timing.median_ms >= 0 for timing in found.table.timings.values())
    assert found.table.latency_ms(SPACE.structure(SPACE.smallest, 5)) > 0
    assert 0 < found.error < 10


def test_a_space_of_one_network_gets_its_time() -> None:
    one = SPACE.narrowed([SPACE.largest])
    found = made(one)
    nodes = one.structure(one.largest, CLASSES)
    assert found.table.latency_ms(nodes) == pytest.approx(sum(map(node_ms, nodes)))


def test_it_ends_in_time_but_not_before_a_few_networks() -> None:
    seen: list[Graph] = []

    def times_ms(graph: Graph) -> list[float]:
        seen.append(graph)
        return [network_ms(graph)] * 3

    assert made(SPACE, times_ms, seconds=0).networks == len(seen) == LEAST_NETWORKS
    sizes = [sum(map(node_ms, graph.nodes)) for graph in seen]
    assert (sizes[0], sizes[1]) == (min(sizes), max(sizes))


def test_it_is_marked_in_its_file_and_where_it_is_shown(tmp_path) -> None:
    table = made(SPACE).table
    write(table, tmp_path / "quick.json")
    kept = read(tmp_path / "quick.json")
    assert kept.quick
    assert "quick" in repr(kept)
    careful = dataclasses.replace(table, quick=False)
    write(careful, tmp_path / "careful.json")
    assert not read(tmp_path / "careful.json").quick
    assert "quick" not in repr(careful)
