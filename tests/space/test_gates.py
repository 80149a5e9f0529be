"""Architectures as integers and gates, and the table of multiply-adds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures, members, random_gates, spaces

from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.cost import cost
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.gates import GateLayout, active_slots, choices_of_gates, effective_gates, gates_of_choices
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range, madds_table

SEEDS = st.integers(0, 2**32)


@given(members())
def test_encode_and_decode_are_inverse(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    rows = space.encode([architecture, space.smallest])
    assert rows.shape == (2, len(space.stages) + 2 * space.slots)
    assert rows.dtype == np.int8
    assert space.decode(rows[0]) == architecture
    assert not rows[1].any()


@given(members(), SEEDS)
def test_what_lies_beyond_a_unit_s_depth_is_ignored(member: tuple[ElasticSpace, Architecture], seed: int) -> None:
    space, architecture = member
    (row,) = space.encode([architecture])
    units = len(space.stages)
    absent = ~active_slots(space, row[:units])
    rng = np.random.default_rng(seed)
    row[units : units + space.slots][absent] = rng.integers(0, len(space.kernels), absent.sum())
    row[units + space.slots :][absent] = rng.integers(0, len(space.expansions), absent.sum())
    assert space.decode(row) == architecture


def test_the_layout_of_a_row() -> None:
    architecture = Architecture.parse("k3e6 k5e4 k7e3 | " + " | ".join(["k3e3 k3e3"] * 4))
    (row,) = PAPER.encode([architecture])
    assert row[:5].tolist() == [1, 0, 0, 0, 0]
    assert row[5:25].tolist() == [0, 1, 2] + [0] * 17
    assert row[25:].tolist() == [2, 1] + [0] * 18
    gates = gates_of_choices(PAPER, row)
    assert np.flatnonzero(gates).tolist() == [0, 10 + 2, 10 + 4, 10 + 5, 50, 51, 52]


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(((Block(3, 3),),) * 5),
        Architecture(((Block(3, 3),) * 5,) * 5),
        Architecture(((Block(9, 3),) * 2,) * 5),
        Architecture(((Block(3, 3),) * 2,) * 6),
    ],
)
def test_a_foreign_architecture_is_refused(architecture: Architecture) -> None:
    with pytest.raises(ArchitectureError):
        PAPER.encode([architecture])


@given(spaces(), SEEDS)
def test_gates_and_choices_agree(space: ElasticSpace, seed: int) -> None:
    layout = GateLayout.of(space)
    gates = random_gates(seed, 2, 5, layout.gates)
    effective = effective_gates(space, gates)
    assert effective.shape == gates.shape
    assert not (effective & ~gates).any(), "nothing is switched on"
    np.testing.assert_array_equal(effective_gates(space, effective), effective)
    choices = choices_of_gates(space, effective)
    np.testing.assert_array_equal(gates_of_choices(space, choices), effective)
    again = space.encode([space.decode(row) for row in choices.reshape(10, -1)])
    np.testing.assert_array_equal(again, choices.reshape(10, -1))


@given(spaces(), SEEDS)
def test_effective_gates_by_the_definition(space: ElasticSpace, seed: int) -> None:
    layout = GateLayout.of(space)
    gates = random_gates(seed, layout.gates)
    depth, kernel, expansion = (part.tolist() for part in layout.split(gates))

    def leading(values: list[bool]) -> int:
        return [*values, False].index(False)

    deepest = space.depths[-1]
    units = []
    for u in range(layout.units):
        slots = range(u * deepest, u * deepest + space.depths[leading(depth[u])])
        units.append(
            tuple(Block(space.kernels[leading(kernel[s])], space.expansions[leading(expansion[s])]) for s in slots)
        )
    assert space.decode(choices_of_gates(space, effective_gates(space, gates))) == Architecture(tuple(units))


@given(spaces())
def test_no_rows_at_all(space: ElasticSpace) -> None:
    layout = GateLayout.of(space)
    rows = space.encode([])
    assert rows.shape == (0, layout.units + 2 * layout.slots)
    gates = gates_of_choices(space, rows)
    assert gates.shape == (0, layout.gates)
    assert choices_of_gates(space, effective_gates(space, gates)).shape == rows.shape
    assert madds_table(space).total(space, rows, 3).shape == (0,)


@given(spaces(), st.data())
def test_the_table_equals_the_count_on_nodes(space: ElasticSpace, data: st.DataObject) -> None:
    drawn = [data.draw(architectures(space)) for _ in range(4)]
    classes = data.draw(st.lists(st.integers(1, 50), min_size=4, max_size=4))
    total = madds_table(space).total(space, space.encode(drawn), np.array(classes))
    counted = [cost(space.structure(a, n)).madds for a, n in zip(drawn, classes, strict=True)]
    assert total.tolist() == counted
    assert total.dtype == np.int64


@given(spaces(), st.integers(1, 50))
def test_the_range_is_that_of_the_ends(space: ElasticSpace, classes: int) -> None:
    ends = (cost(space.structure(end, classes)).madds for end in (space.smallest, space.largest))
    assert madds_range(space, classes) == tuple(ends)


@given(spaces(), SEEDS)
def test_switching_a_gate_off_never_adds_multiply_adds(space: ElasticSpace, seed: int) -> None:
    layout = GateLayout.of(space)
    table = madds_table(space)

    def madds(gates: np.ndarray) -> np.ndarray:
        return table.total(space, choices_of_gates(space, effective_gates(space, gates)), 5)

    gates = random_gates(seed, layout.gates)
    without = gates & ~np.eye(layout.gates, dtype=bool)
    assert (madds(without) <= madds(gates)).all()


def test_the_table_is_shared_and_cannot_be_changed() -> None:
    table = madds_table(PAPER)
    assert madds_table(dataclasses.replace(PAPER)) is table
    with pytest.raises(ValueError, match="read-only"):
        table.parts[1] = 1
