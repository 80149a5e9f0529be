"""Costs of every member of a space as tables over its choices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from latency.tables import random_table
from strategies import architectures, random_gates, spaces

from eas_sdk.graph.cost import cost, madds, peak_activation_bytes, total_weight_elements
from eas_sdk.graph.memory import MODELS, MemoryModel, memory_bytes, memory_model
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.segments import segments
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import LITE0, MOBILENET_V3_LARGE, PAPER
from eas_sdk.space.elastic.gates import choices_of_gates, effective_gates
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import PeakTable, SumTable, madds_table, memory_table, part_costs

SEEDS = st.integers(0, 2**32)


@given(spaces(), st.data())
def test_memory_equals_that_of_the_nodes(space: ElasticSpace, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(architectures(space), min_size=1, max_size=4))
    classes = data.draw(st.lists(st.integers(1, 300), min_size=len(drawn), max_size=len(drawn)))
    networks = [space.structure(a, n) for a, n in zip(drawn, classes, strict=True)]
    for engine in (*MODELS, "another"):
        found = memory_table(space, memory_model(engine)).total(space, space.encode(drawn), np.array(classes))
        assert [round(value) for value in found.tolist()] == [memory_bytes(nodes, engine) for nodes in networks]


@given(spaces(), st.data(), st.floats(0, 5), st.floats(0, 5), st.integers(0, 10**7))
def test_a_memory_model_weighs_weights_and_activations(
    space: ElasticSpace, data: st.DataObject, weights: float, activations: float, fixed: int
) -> None:
    architecture, classes = data.draw(architectures(space)), data.draw(st.integers(1, 50))
    nodes = space.structure(architecture, classes)
    table = memory_table(space, MemoryModel(weights, activations, fixed))
    expected = weights * 4 * total_weight_elements(nodes) + activations * peak_activation_bytes(nodes) + fixed
    assert table.total(space, space.encode([architecture]), classes).tolist() == pytest.approx([expected], abs=0.51)
    assert table.activations.total(space, space.encode([architecture]), classes)[0] == (
        cost(nodes).peak_activation_bytes
    )


@given(spaces(), SEEDS)
def test_switching_a_gate_off_never_adds_memory(space: ElasticSpace, seed: int) -> None:
    layout, table = space.layout, memory_table(space, MODELS["litert"])

    def total(gates: np.ndarray) -> np.ndarray:
        return table.total(space, choices_of_gates(space, effective_gates(space, gates)), 5)

    gates = random_gates(seed, layout.gates)
    assert (total(gates & ~np.eye(layout.gates, dtype=bool)) <= total(gates)).all()


def parts_of(space: ElasticSpace, architecture: Architecture) -> list[int]:
    """Where what an architecture is made of is among all parts, from 1, by counting."""
    position, found = 0, []
    for size in space.input_sizes:
        mine = size == (architecture.input_size or space.input_sizes[0])
        position += 1
        found += [position] * mine
        for unit, blocks in zip(space.units, architecture.units, strict=True):
            for b in range(unit.depths[-1]):
                for kernel in unit.kernels:
                    for expansion in unit.expansions:
                        position += 1
                        there = b < len(blocks) and (blocks[b].kernel, blocks[b].expansion) == (kernel, expansion)
                        found += [position] * (mine and there)
        position += 1
        found += [position] * mine
    assert position == len(list(space.every_part()))
    return found


@given(spaces(), st.data(), SEEDS, st.integers(0, 100))
def test_a_peak_is_the_greatest_and_a_sum_the_sum(
    space: ElasticSpace, data: st.DataObject, seed: int, base: int
) -> None:
    drawn = data.draw(st.lists(architectures(space), min_size=1, max_size=3))
    parts = np.random.default_rng(seed).integers(0, 101, 1 + len(list(space.every_part())))
    parts[0] = 0
    present = [parts[parts_of(space, architecture)].tolist() for architecture in drawn]
    rows, classes = space.encode(drawn), np.arange(1, len(drawn) + 1)
    assert PeakTable(parts, 30, 7).total(space, rows, classes).tolist() == [
        max(30 + 7 * n, *costs) for n, costs in zip(classes.tolist(), present, strict=True)
    ]
    assert SumTable(base, 7, parts).total(space, rows, classes).tolist() == [
        base + 7 * n + sum(costs) for n, costs in zip(classes.tolist(), present, strict=True)
    ]


@given(spaces(), st.data())
def test_a_network_is_its_parts(space: ElasticSpace, data: st.DataObject) -> None:
    """But for what they read and are called, and for the classifier."""
    architecture = data.draw(architectures(space))
    every = list(space.every_part())
    (row,) = space.parts(space.encode([architecture]))
    assert sorted(place for place in row.tolist() if place) == parts_of(space, architecture)
    nodes = space.structure(architecture, 3)
    assert sum(map(madds, nodes[:-1])) == sum(madds(node) for place in row if place for node in every[place - 1].nodes)
    shapes = sorted(str(dataclasses.replace(node, inputs=())) for node in nodes[:-1])
    held = [node for place in row.tolist() if place for node in every[place - 1].nodes]
    assert sorted(str(dataclasses.replace(node, inputs=())) for node in held) == shapes


@pytest.mark.parametrize("space", [PAPER, LITE0, MOBILENET_V3_LARGE], ids=["paper", "lite0", "mobilenet-v3-large"])
def test_all_costs_of_members_of_a_backbone_s_space(space: ElasticSpace) -> None:
    rows = space.members(np.random.default_rng(5).random((12, space.random_numbers)))
    drawn = [*map(space.decode, rows), space.smallest, space.largest]
    rows, table = space.encode(drawn), random_table(space, 3, offset_ms=0.2)
    networks = [space.structure(architecture, 64) for architecture in drawn]
    assert len({str(a).partition(" ")[0] for a in drawn}) > (2 if len(space.input_sizes) > 1 else 0)
    assert madds_table(space).total(space, rows, 64).tolist() == [cost(nodes).madds for nodes in networks]
    for engine, model in MODELS.items():
        found = memory_table(space, model).total(space, rows, 64)
        assert found.tolist() == [memory_bytes(nodes, engine) for nodes in networks]
    raised = choice_table(space, table, 64).parts
    kept = part_costs(space, lambda part: sum(table.segment_ms(s) for s in segments(part.nodes)), np.float64)
    exact = SumTable(choice_table(space, table, 64).base, 0.0, kept).total(space, rows, 64)
    assert exact.tolist() == pytest.approx([table.latency_ms(nodes) for nodes in networks])
    assert (raised >= kept).all()


@given(spaces(), SEEDS, st.booleans())
def test_costs_rise_with_sizes_kernels_and_ratios(space: ElasticSpace, seed: int, noise: bool) -> None:
    """Of multiply-adds by themselves; of measurements, as `monotonic` raises them, by no more than is needed."""
    if noise:
        costs = np.random.default_rng(seed).random(1 + len(list(space.every_part())))
        costs[0] = 0
    else:
        costs = part_costs(space, lambda part: sum(map(madds, part.nodes)), np.int64)
    raised = space.monotonic(costs)
    assert raised[0] == 0
    if not noise:
        assert raised.tolist() == costs.tolist()
    where: dict[tuple[object, ...], int] = {}
    position = 0
    for s in range(len(space.input_sizes)):
        for what in ("before", *blocks_of(space), "behind"):
            position += 1
            where[s, what] = position
    expected = costs.tolist()
    for (s, what), place in where.items():  # smaller ones come first
        below = [(s - 1, what)]
        if isinstance(what, tuple):
            u, b, k, e = what
            below += [(s, (u, b, k - 1, e)), (s, (u, b, k, e - 1))]
        expected[place] = max(expected[place], *(expected[where[key]] for key in below if key in where), 0)
    assert raised.tolist() == expected


def blocks_of(space: ElasticSpace) -> list[tuple[int, int, int, int]]:
    """Unit, block, and the places of kernel and expansion ratio."""
    return [
        (u, b, k, e)
        for u, unit in enumerate(space.units)
        for b in range(unit.depths[-1])
        for k in range(len(unit.kernels))
        for e in range(len(unit.expansions))
    ]


@given(spaces(), SEEDS)
def test_switching_a_gate_off_never_adds_latency(space: ElasticSpace, seed: int) -> None:
    layout, table = space.layout, choice_table(space, random_table(space, seed), 5)

    def total(gates: np.ndarray) -> np.ndarray:
        return table.total(space, choices_of_gates(space, effective_gates(space, gates)), 5)

    gates = random_gates(seed, layout.gates)
    assert (total(gates & ~np.eye(layout.gates, dtype=bool)) <= total(gates) * (1 + 1e-12)).all()


def test_tables_take_any_shape_of_choices() -> None:
    rows = PAPER.encode([PAPER.smallest, PAPER.largest])
    table = memory_table(PAPER, MODELS["numpy"])
    several = np.stack([rows, rows[::-1], rows])
    np.testing.assert_array_equal(
        table.total(PAPER, several, np.array([[5], [5], [7]])),
        [table.total(PAPER, rows, 5), table.total(PAPER, rows[::-1], 5), table.total(PAPER, rows, 7)],
    )
    assert table.total(PAPER, rows[:0], 5).shape == (0,)
    assert memory_table(dataclasses.replace(PAPER), dataclasses.replace(MODELS["numpy"])) is table


def test_the_bytes_of_a_network_are_a_budget_that_it_meets() -> None:
    model = MemoryModel(1.6, 0.75, 1)
    nodes = PAPER.structure(PAPER.smallest, 6)
    exact = model.bytes(4 * total_weight_elements(nodes), peak_activation_bytes(nodes))
    (total,) = memory_table(PAPER, model).total(PAPER, PAPER.encode([PAPER.smallest]), 6)
    assert 0 < exact - round(exact) < 0.5
    assert total == round(exact)


def test_the_logits_of_many_classes_are_activations() -> None:
    space, classes = dataclasses.replace(PAPER, input_sizes=(8,), width_multiplier=0.25), 5000
    nodes = space.structure(space.smallest, classes)
    (peak,) = memory_table(space, MemoryModel(0, 1)).total(space, space.encode([space.smallest]), classes)
    assert peak == peak_activation_bytes(nodes)
