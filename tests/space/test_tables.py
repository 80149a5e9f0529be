"""Costs of every member of a space as tables over its choices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures, random_gates, spaces

from eas_sdk.graph.cost import cost, peak_activation_bytes, total_weight_elements
from eas_sdk.graph.memory import MODELS, MemoryModel, memory_bytes, memory_model
from eas_sdk.space.elastic.gates import GateLayout, choices_of_gates, effective_gates
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import PeakTable, SumTable, memory_table

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
    layout, table = GateLayout.of(space), memory_table(space, MODELS["litert"])

    def total(gates: np.ndarray) -> np.ndarray:
        return table.total(space, choices_of_gates(space, effective_gates(space, gates)), 5)

    gates = random_gates(seed, layout.gates)
    assert (total(gates & ~np.eye(layout.gates, dtype=bool)) <= total(gates)).all()


@given(spaces(), st.data(), SEEDS, st.integers(0, 100))
def test_a_peak_is_the_greatest_and_a_sum_the_sum(
    space: ElasticSpace, data: st.DataObject, seed: int, base: int
) -> None:
    drawn = data.draw(st.lists(architectures(space), min_size=1, max_size=3))
    parts = np.random.default_rng(seed).integers(0, 101, 1 + space.slots * len(space.kernels) * len(space.expansions))
    parts[0] = 0
    block = space.by_slot(parts)
    present = [
        [
            block[u * space.depths[-1] + b, space.kernels.index(made.kernel), space.expansions.index(made.expansion)]
            for u, unit in enumerate(architecture.units)
            for b, made in enumerate(unit)
        ]
        for architecture in drawn
    ]
    rows, classes = space.encode(drawn), np.arange(1, len(drawn) + 1)
    assert PeakTable(base, parts).total(space, rows, classes).tolist() == [max(base, *costs) for costs in present]
    assert SumTable(base, 7, parts).total(space, rows, classes).tolist() == [
        base + 7 * n + sum(costs) for n, costs in zip(classes.tolist(), present, strict=True)
    ]


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
    space, classes = ElasticSpace(input_size=8, width_multiplier=0.25), 5000
    nodes = space.structure(space.smallest, classes)
    (peak,) = memory_table(space, MemoryModel(0, 1)).total(space, space.encode([space.smallest]), classes)
    assert peak == peak_activation_bytes(nodes)
