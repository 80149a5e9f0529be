"""Architectures as integers and gates, and the table of multiply-adds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import SIZES
from hypothesis import given
from hypothesis import strategies as st
from space.gate_reference import choices, effective, gate_owners, network
from strategies import architectures, members, random_gates, spaces

from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Node
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE, PAPER
from eas_sdk.space.elastic.gates import (
    active_slots,
    choices_of_gates,
    effective_gates,
    gates_of_choices,
    union,
)
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range, madds_table

SEEDS = st.integers(0, 2**32)


@given(members())
def test_encode_and_decode_are_inverse(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    rows = space.encode([architecture, space.smallest])
    assert rows.shape == (2, len(space.units) + 2 * space.slots + 1)
    assert rows.dtype == np.int8
    assert space.decode(rows[0]) == architecture
    assert not rows[1].any()
    assert (rows < np.array(space.options)).all()


@given(members(), SEEDS)
def test_what_lies_beyond_a_unit_s_depth_is_ignored(member: tuple[ElasticSpace, Architecture], seed: int) -> None:
    space, architecture = member
    (row,) = space.encode([architecture])
    clean = row.copy()
    rng = np.random.default_rng(seed)
    for column, choice in enumerate(choices(space)):
        if choice.block is not None and choice.block >= len(architecture.units[choice.unit]):
            row[column] = rng.integers(len(choice.options))
    assert space.decode(row) == architecture
    np.testing.assert_array_equal(gates_of_choices(space, row), gates_of_choices(space, clean))
    assert space.allowed(row)
    np.testing.assert_array_equal(space.parts(row), space.parts(clean))


def test_the_layout_of_a_row() -> None:
    architecture = Architecture.parse("k3e1 | k3e6 k5e4 k7e3 | " + " | ".join(["k3e3 k3e3"] * 4))
    (row,) = PAPER.encode([architecture])
    assert row[:6].tolist() == [0, 1, 0, 0, 0, 0]
    assert row[6:27].tolist() == [0, 0, 1, 2] + [0] * 17
    assert row[27:48].tolist() == [0, 2, 1] + [0] * 18
    assert row[48:].tolist() == [0]
    gates = gates_of_choices(PAPER, row)
    assert np.flatnonzero(gates).tolist() == [0, 10 + 2, 10 + 4, 10 + 5, 50, 51, 52]


def test_the_layout_of_a_row_of_units_with_choices_of_their_own() -> None:
    architecture = Architecture.parse("128px k3e1 | k3e4 | k5e2 k3e3 | k3e6 k3e2.3 k3e2.5 | k3e3 | k3e3")
    (row,) = MOBILENET_V3_LARGE.encode([architecture])
    depths, kernels, ratios, size = MOBILENET_V3_LARGE.layout.split(row)
    assert depths.tolist() == [0, 0, 1, 2, 0, 0]
    assert kernels.tolist() == [0] + [0, 0] + [1, 0, 0] + [0] * 9
    assert ratios.tolist() == [0] + [2, 0] + [0, 1, 0] + [5, 1, 2, 0] + [0] * 5
    assert size.tolist() == [1]
    # Depths leave 0, 1, 2, 3, 1, 2 gates; kernels one in the third and the last unit alone.
    layout = MOBILENET_V3_LARGE.layout
    assert np.bincount(layout.choice_of, minlength=len(row)).tolist() == [
        *(0, 1, 2, 3, 1, 2),
        *([0] * 3 + [1] * 3 + [0] * 6 + [1] * 3),
        *([0] + [2] * 2 + [1] * 3 + [5] * 4 + [2] * 2 + [2] * 3),
        4,
    ]
    assert layout.gates == 9 + 6 + 37 + 4
    assert layout.steps == 14
    assert layout.step_of[layout.units + 1] == 0, "the first block is fixed and takes no step"
    assert layout.step_of[-1] == 13


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(((Block(3, 1),), *((Block(3, 3),),) * 5)),
        Architecture(((Block(3, 1),), *((Block(3, 3),) * 5,) * 5)),
        Architecture(((Block(3, 1),), *((Block(9, 3),) * 2,) * 5)),
        Architecture(((Block(3, 3),) * 2,) * 6),
        Architecture(((Block(3, 1),), *((Block(3, 3),) * 2,) * 6)),
        dataclasses.replace(PAPER.smallest, input_size=224),
    ],
)
def test_a_foreign_architecture_is_refused(architecture: Architecture) -> None:
    with pytest.raises(ArchitectureError):
        PAPER.encode([architecture])


@given(spaces())
def test_the_layout_is_that_of_the_choices(space: ElasticSpace) -> None:
    layout, listed = space.layout, choices(space)
    assert space.layout is layout, "it is made once"
    assert layout.options == space.options == tuple(len(choice.options) for choice in listed)
    owners = gate_owners(space)
    assert layout.gates == space.features == len(owners)
    assert list(zip(layout.choice_of.tolist(), layout.rank_of.tolist(), strict=True)) == owners
    for column, places in enumerate(layout.places.tolist()):
        mine = [gate for gate, (owner, _) in enumerate(owners) if owner == column]
        assert places == mine + [layout.gates] * (len(places) - len(mine))
    names = ("depth", "kernel", "expansion", "size")
    assert layout.widths == tuple(max(len(c.options) for c in listed if c.sort == name) - 1 for name in names)


@given(spaces())
def test_one_step_decides_a_block_that_leaves_a_choice(space: ElasticSpace) -> None:
    layout, listed = space.layout, choices(space)
    choosing = [u for u, unit in enumerate(space.units) if not unit.fixed]
    blocks = [(u, b) for u in choosing for b in range(space.units[u].depths[-1])]
    assert layout.steps == max(1, len(blocks))
    for choice, step in zip(listed, layout.step_of.tolist(), strict=True):
        assert 0 <= step < layout.steps
        if len(choice.options) > 1:
            owner = (choice.unit, choice.block or 0)
            assert step == (layout.steps - 1 if choice.sort == "size" else blocks.index(owner))


@given(spaces(), SEEDS)
def test_gates_and_choices_agree(space: ElasticSpace, seed: int) -> None:
    layout = space.layout
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
def test_gates_by_the_definition(space: ElasticSpace, seed: int) -> None:
    gates = random_gates(seed, 4, space.features)
    rows = choices_of_gates(space, gates)
    kept = effective_gates(space, gates)
    for row, mine, on in zip(rows, gates.tolist(), kept.tolist(), strict=True):
        architecture = network(space, mine)
        assert space.decode(row) == architecture
        assert space.encode([architecture])[0].tolist() == row.tolist()
        assert on == effective(space, architecture)
        assert space.features_of(row).tolist() == on
        owners = zip(space.layout.unit_of.tolist(), space.layout.block_of.tolist(), strict=True)
        there = [len(architecture.units[u]) > b for u, b in owners]
        assert active_slots(space, row[: len(space.units)]).tolist() == there


@given(spaces())
def test_no_rows_at_all(space: ElasticSpace) -> None:
    layout = space.layout
    rows = space.encode([])
    assert rows.shape == (0, layout.units + 2 * layout.slots + 1)
    gates = gates_of_choices(space, rows)
    assert gates.shape == (0, layout.gates)
    assert choices_of_gates(space, effective_gates(space, gates)).shape == rows.shape
    assert madds_table(space).total(space, rows, 3).shape == (0,)
    assert space.members(np.zeros((0, space.random_numbers))).shape == rows.shape


@given(spaces(), st.data())
def test_a_union_is_choice_by_choice(space: ElasticSpace, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(architectures(space), max_size=3))
    made = union(space, drawn)
    gates = [effective(space, architecture) for architecture in (*drawn, space.smallest)]
    assert effective(space, made) == [any(column) for column in zip(*gates, strict=True)]
    space.validate(made)
    assert union(space, [made, *drawn]) == made


@given(spaces(narrowed=False), st.data(), SEEDS)
def test_members_of_a_narrowed_space_are_within_its_largest(
    space: ElasticSpace, data: st.DataObject, seed: int
) -> None:
    narrow = dataclasses.replace(space, largest=data.draw(architectures(space)))
    bound = effective(space, narrow.largest)
    gates = random_gates(seed, 30, space.features)
    rows = choices_of_gates(space, gates)
    for row, allowed in zip(rows, narrow.allowed(rows).tolist(), strict=True):
        on = effective(space, space.decode(row))
        assert allowed == all(most or not mine for mine, most in zip(on, bound, strict=True))
    drawn = narrow.members(np.random.default_rng(seed).random((30, narrow.random_numbers)))
    assert narrow.allowed(drawn).all()
    for row in drawn:
        narrow.validate(narrow.decode(row))
        assert narrow.encode([narrow.decode(row)])[0].tolist() == row.tolist(), "absent slots are 0"


def test_members_draw_their_sizes_within_the_largest_s() -> None:
    narrow = dataclasses.replace(SIZES, largest=dataclasses.replace(SIZES.largest, input_size=48))
    uniform = np.random.default_rng(0).random((200, SIZES.random_numbers))
    for space, sizes in ((SIZES, {32, 48, 64}), (narrow, {32, 48})):
        drawn = [space.decode(row).input_size for row in space.members(uniform)]
        assert set(drawn) == sizes
        assert min(drawn.count(size) for size in sizes) > 0.4 * len(drawn) / len(sizes)
    rows = SIZES.encode([dataclasses.replace(SIZES.smallest, input_size=size) for size in (32, 48, 64)])
    assert narrow.allowed(rows).tolist() == [True, True, False]
    assert narrow.encode([SIZES.largest]).tolist() == SIZES.encode([SIZES.largest]).tolist()


@given(spaces())
def test_a_node_s_scope_is_what_changes_its_input_and_its_weights(space: ElasticSpace) -> None:
    listed = choices(space)
    owners = [(gate, listed[column]) for gate, (column, _) in enumerate(gate_owners(space))]
    sizes = {gate for gate, choice in owners if choice.sort == "size"}
    for node in space.bank(2):
        own, before = map(set, space.scope(node.name))
        assert [len(own), len(before)] == [len(gates) for gates in space.scope(node.name)]
        prefix, _, layer = node.name.rpartition(".")
        if not prefix.startswith("unit"):
            assert own == sizes
            assert before == (set(range(space.features)) - sizes if node.name == "head" else set())
            continue
        here = tuple(int(part) for part in prefix.removeprefix("unit").split(".block"))
        sorts = {"depthwise": ("kernel",), "project": ("kernel", "expansion")}.get(layer, ())
        assert own - sizes == {gate for gate, c in owners if c.sort in sorts and (c.unit, c.block) == here}, node.name
        assert sizes <= own
        assert before == {
            gate
            for gate, c in owners
            if (c.unit < here[0] if c.sort == "depth" else c.sort != "size" and (c.unit, c.block) < here)
        }, node.name


@given(members(), SEEDS)
def test_a_gate_outside_a_node_s_scope_leaves_what_it_reads(
    member: tuple[ElasticSpace, Architecture], seed: int
) -> None:
    space, architecture = member
    gates = effective(space, architecture)
    other = network(space, (np.array(gates, bool) & random_gates(seed, space.features)).tolist())
    changed = {g for g, (one, two) in enumerate(zip(gates, effective(space, other), strict=True)) if one != two}
    nodes, others = ({n.name: n for n in space.structure(a, 2)} for a in (architecture, other))
    for name in nodes.keys() & others.keys():
        node, theirs = nodes[name], others[name]
        if not has_norm(node) or changed & {gate for part in space.scope(name) for gate in part}:
            continue
        # Hidden channels are a prefix, so that the outputs of an expansion and a depthwise layer may be fewer.
        fewer = {"out_channels": 0} if name.endswith(".expand") else {"channels": 0} if "depthwise" in name else {}
        assert dataclasses.replace(node, **fewer) == dataclasses.replace(theirs, **fewer)


def has_norm(node: Node) -> bool:
    return isinstance(node, DepthwiseConv2d) or (isinstance(node, Conv2d) and node.bias == "norm")


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
    layout = space.layout
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
