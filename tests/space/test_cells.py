"""Spaces of cells: which networks there are, how they are written, and what they cost."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from latency.tables import random_table
from strategies import cell_architectures, cell_members, cell_spaces

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import MODELS, memory_bytes
from eas_sdk.graph.nodes import Add, Conv2d, DepthwiseConv2d, Mean
from eas_sdk.latency.predict import choice_table
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.cells.space import Cell, CellSpace
from eas_sdk.space.presets import CREAM, GREEDYNAS, GREEDYNAS_SE, NSE, NSE_BLOCKS, PRESETS
from eas_sdk.space.registry import from_json
from eas_sdk.space.sample import random_architecture
from eas_sdk.space.tables import madds_range, madds_table, memory_table

SEEDS = st.integers(0, 2**32 - 1)
CELL_PRESETS = [name for name, space in PRESETS.items() if isinstance(space, CellSpace)]
PAIR = CellSpace(
    input_size=16,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=8,
    first_width=None,
    head_width=16,
    feature_width=None,
    activation="relu",
    merge="mean",
    cells=(
        Cell(8, 1, (Block(3, 1), Block(5, 2), Block(3, 2, 2))),
        Cell(16, 2, (Block(3, 3), Block(5, 1, factorised=True))),
    ),
)


@given(cell_members())
def test_text_json_and_choices_round_trip(member: tuple[CellSpace, Architecture]) -> None:
    space, architecture = member
    space.validate(architecture)
    assert Architecture.parse(str(architecture)) == architecture
    (row,) = space.encode([architecture])
    assert space.decode(row) == architecture
    assert len(row) == len(space.options)
    assert (row < np.array(space.options)).all()
    assert space.allowed(row[None]).all()
    assert from_json(json.loads(json.dumps(space.to_json()))) == space


@given(cell_members(), st.integers(1, 9))
def test_tables_are_what_the_nodes_cost(member: tuple[CellSpace, Architecture], classes: int) -> None:
    space, architecture = member
    choices, nodes = space.encode([architecture]), space.structure(architecture, classes)
    assert madds_table(space).total(space, choices, classes)[0] == cost(nodes).madds
    for engine, model in MODELS.items():
        assert memory_table(space, model).total(space, choices, classes)[0] == memory_bytes(nodes, engine)


@given(cell_spaces(), SEEDS, st.data(), st.floats(0.1, 10))
def test_latencies_are_never_below_the_table_s_and_least_for_the_smallest(
    space: CellSpace, seed: int, data: st.DataObject, factor: float
) -> None:
    table = random_table(space, seed, offset_ms=-0.01)
    drawn = [space.smallest, *data.draw(st.lists(cell_architectures(space), min_size=1, max_size=4))]
    found = choice_table(space, table, 5, factor).total(space, space.encode(drawn), 5)
    for total, architecture in zip(found, drawn, strict=True):
        assert total * (1 + 1e-12) >= factor * table.latency_ms(space.structure(architecture, 5))
        assert total * (1 + 1e-12) >= found[0]


@given(cell_spaces(), SEEDS)
def test_random_members_are_members(space: CellSpace, seed: int) -> None:
    uniform = np.random.default_rng(seed).random((20, space.random_numbers))
    for row in space.members(uniform):
        space.validate(space.decode(row))
        assert space.allowed(row[None]).all()


@given(cell_spaces())
def test_the_smallest_and_the_largest_bound_the_multiply_adds(space: CellSpace) -> None:
    low, high = madds_range(space, 3)
    rng = random.Random(0)
    drawn = [random_architecture(space, rng) for _ in range(10)]
    madds = madds_table(space).total(space, space.encode([*drawn, *space.covering()]), 3)
    assert low <= madds.min()
    assert madds.max() <= high


@pytest.mark.parametrize("name", CELL_PRESETS)
def test_random_members_of_a_preset_have_all_costs(name: str) -> None:
    space = PRESETS[name]
    low, high = madds_range(space, 60)
    uniform = np.random.default_rng(0).random((400, space.random_numbers))
    madds = madds_table(space).total(space, space.members(uniform), 60)
    level = (madds - low) / (high - low)
    assert np.quantile(level, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.25)
    assert len(np.histogram(level, 8, (0, 1))[0].nonzero()[0]) == 8


@given(cell_spaces(), st.data())
def test_a_narrowed_space_has_its_members_and_knows_their_features(space: CellSpace, data: st.DataObject) -> None:
    kept = data.draw(st.lists(cell_architectures(space), min_size=1, max_size=4))
    narrow = space.narrowed(kept)
    among = narrow.features_among(space)
    for architecture in kept:
        narrow.validate(architecture)
        ours, theirs = (s.features_of(s.encode([architecture]))[0] for s in (narrow, space))
        np.testing.assert_array_equal(ours, theirs[among])
        assert theirs.sum() == ours.sum()
        assert narrow.structure(architecture, 3) == space.structure(architecture, 3)
    assert {n.name for n in narrow.bank(3)} == {
        n.name for a in (*kept, *narrow.covering()) for n in narrow.structure(a, 3) if not isinstance(n, Mean)
    }


@given(cell_spaces())
def test_the_covering_members_use_the_whole_bank(space: CellSpace) -> None:
    used = {node for architecture in space.covering() for node in space.structure(architecture, 4)}
    held = {dataclasses.replace(node, inputs=()) for node in used if not isinstance(node, Mean)}
    assert held == {dataclasses.replace(node, inputs=()) for node in space.bank(4)}


@given(cell_members())
def test_a_node_s_scope_is_what_lies_before_it(member: tuple[CellSpace, Architecture]) -> None:
    space, architecture = member
    for node in space.structure(architecture, 2):
        own, before = space.scope(node.name)
        assert own == []
        if node.name.startswith("cell"):
            cell = int(node.name.partition(".")[0][4:])
            assert len(before) == sum(len(c.blocks) for c in space.cells[:cell])
        else:
            assert len(before) == (space.features if node.name == "head" else 0)


def test_blocks_lie_side_by_side_and_are_averaged_with_the_input_where_it_fits() -> None:
    nodes = {node.name: node for node in PAIR.structure(Architecture.parse("k3e1 k3d2e2 | k3e3 1x5e1"), 3)}
    assert nodes["cell0.mean"].inputs == ("stem", "cell0.k3e1.project", "cell0.k3d2e2.project")
    assert nodes["cell1.mean"].inputs == ("cell1.k3e3.project", "cell1.1x5e1.project")
    dilated = nodes["cell0.k3d2e2.depthwise"]
    assert isinstance(dilated, DepthwiseConv2d)
    assert (dilated.dilation, dilated.padding, dilated.out_size) == (2, 2, 8)
    across, down = nodes["cell1.1x5e1.across"], nodes["cell1.1x5e1.down"]
    assert isinstance(across, Conv2d)
    assert isinstance(down, Conv2d)
    assert (across.window, across.stride, down.window, down.stride) == ((1, 5), 1, (5, 1), 2)
    assert nodes["head"].inputs == ("cell1.mean",)


def test_a_cell_without_blocks_hands_on_its_input() -> None:
    nodes = {node.name: node for node in PAIR.structure(Architecture.parse("- | k3e3"), 3)}
    assert nodes["cell1.k3e3.expand"].inputs == ("stem",)
    assert not any(isinstance(node, Mean) for node in nodes.values())
    assert nodes["head"].inputs == ("cell1.k3e3.project",)


def test_single_blocks_add_their_input() -> None:
    space = dataclasses.replace(PAIR, merge="residual")
    nodes = space.structure(Architecture.parse("k5e2 | k3e3"), 3)
    assert [node.name for node in nodes if isinstance(node, Add)] == ["cell0.k5e2.add"]
    assert space.smallest == Architecture.parse("- | k3e3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k3e1", "2 cells; got 1"),
        ("k3e1 | -", "cell 1 may have 1 to 2 blocks; got 0"),
        ("k7e1 | k3e3", "cell 0 may have blocks k3e1 k5e2 k3d2e2; got k7e1"),
        ("k5e2 k3e1 | k3e3", "in the order k3e1 k5e2 k3d2e2; got k5e2 k3e1"),
        ("k3e1 k3e1 | k3e3", "written once"),
    ],
)
def test_what_is_no_member_is_named(text: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        PAIR.structure(Architecture.parse(text), 3)
    single = dataclasses.replace(PAIR, merge="residual")
    with pytest.raises(ArchitectureError, match="cell 0 may have 0 to 1 blocks; got 2"):
        single.validate(Architecture.parse("k3e1 k5e2 | k3e3"))
    with pytest.raises(ArchitectureError, match=r"Architecture\.parse"):
        PAIR.validate("k3e1 | k3e3")  # type: ignore[arg-type]
    for call in (PAIR.validate, lambda a: PAIR.encode([a]), lambda a: PAIR.structure(a, 3)):
        with pytest.raises(ArchitectureError, match="one input size, 16 px, which its architectures leave out; got 24"):
            call(Architecture.parse("24px k3e1 | k3e3"))


@given(cell_members(), st.integers(8, 40))
def test_a_network_for_images_of_another_size(member: tuple[CellSpace, Architecture], size: int) -> None:
    space, architecture = member
    assert space.input_sizes == (space.input_size,)
    other = dataclasses.replace(space, input_size=size)
    assert space.structure(architecture, 3, input_size=size) == other.structure(architecture, 3)
    assert space.structure(architecture, 3, input_size=space.input_size) == space.structure(architecture, 3)


@pytest.mark.parametrize("blocks", [["k3e2.5"], ["k3e1", "k3e1.01"]])
def test_ratios_of_cells_are_whole(blocks: list[str]) -> None:
    with pytest.raises(ArchitectureError, match="the expansion of a block is an integer"):
        from_json(PAIR.to_json() | {"cells": [{"width": 9, "stride": 1, "blocks": blocks}]})


def test_rows_that_are_no_members_are_not_allowed() -> None:
    rows = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [2, 0, 0, 1, 0]], np.int8)
    assert PAIR.allowed(rows).tolist() == [True, False, True, False]


RECORDED = {
    "greedynas": {
        "kind": "cells",
        "input_size": 224,
        "width_multiplier": 1.0,
        "stem_stride": 2,
        "stem_width": 32,
        "first_width": 16,
        "head_width": 1280,
        "feature_width": None,
        "activation": "relu",
        "merge": "residual",
    },
    "cream": {
        "kind": "cells",
        "input_size": 224,
        "width_multiplier": 1.0,
        "stem_stride": 2,
        "stem_width": 16,
        "first_width": 16,
        "head_width": 320,
        "feature_width": 1280,
        "activation": "hard_swish",
        "merge": "residual",
    },
    "nse": {
        "kind": "cells",
        "input_size": 224,
        "width_multiplier": 1.0,
        "stem_stride": 2,
        "stem_width": 16,
        "first_width": None,
        "head_width": 1024,
        "feature_width": None,
        "activation": "relu",
        "merge": "mean",
    },
}
RECORDED["greedynas-se"] = RECORDED["greedynas"]
for recorded in ("greedynas", "cream", "nse"):
    RECORDED[f"{recorded}-small"] = RECORDED[recorded] | {"input_size": 64, "width_multiplier": 0.4}
GREEDY_BLOCKS = ["k3e3", "k5e3", "k7e3", "k3e6", "k5e6", "k7e6"]
CREAM_BLOCKS = ["k3e4se", "k5e4se", "k7e4se", "k3e6se", "k5e6se", "k7e6se"]
RECORDED_CELLS = {
    "greedynas": ("32 40 80 96 192", 4, GREEDY_BLOCKS),
    "greedynas-se": ("32 40 80 96 192", 4, [*GREEDY_BLOCKS, *(f"{block}se" for block in GREEDY_BLOCKS)]),
    "cream": ("24 40 80 96 192", 4, CREAM_BLOCKS),
    "nse": ("24 40 80 96 192", 4, [str(block) for block in NSE_BLOCKS]),
}
RECORDED_CELLS |= {
    f"{name}-small": (RECORDED_CELLS[name][0], 2, RECORDED_CELLS[name][2]) for name in ("greedynas", "cream", "nse")
}


@pytest.mark.parametrize("name", CELL_PRESETS)
def test_the_presets_keep_their_json_to_the_byte(name: str) -> None:
    """Fingerprints of trainings depend on it."""
    widths, count, blocks = RECORDED_CELLS[name]
    small = name.endswith("-small")
    strides = {24: 2, 32: 2, 40: 2, 80: 2, 96: 1, 192: 1 if small else 2}
    cells = [
        {"width": width, "stride": strides[width] if i == 0 else 1, "blocks": blocks}
        for width in map(int, widths.split())
        for i in range(count)
    ]
    if "nse" in name:
        cells.insert(0, {"width": 16, "stride": 1, "blocks": blocks})
    if "cream" not in name:
        cells.append({"width": 320, "stride": 1, "blocks": blocks})
    assert json.dumps(PRESETS[name].to_json()) == json.dumps(RECORDED[name] | {"cells": cells})


def test_the_papers_spaces() -> None:
    assert len(GREEDYNAS.cells) == 21
    assert [c for c, skips in enumerate(GREEDYNAS.skips) if not skips] == [0, 4, 8, 12, 16, 20]
    assert set(GREEDYNAS.options) == {6, 7}
    assert set(GREEDYNAS_SE.options) == {12, 13}
    networks = np.prod([float(option) for option in CREAM.options])
    assert f"{networks:.2e}" == "3.69e+16"  # Cream, section 4.1
    assert len(NSE_BLOCKS) == len(set(NSE_BLOCKS)) == 27
    assert (sum(NSE.skips), len(NSE.cells) - sum(NSE.skips)) == (16, 6)
    assert [str(NSE_BLOCKS[i]) for i in (0, 1, 3, 8, 9, 20, 21, 26)] == [
        "k3e1", "k3d2e1", "k3e3", "k3d3e6", "k5e1", "k11e6", "1x5e1", "1x7e4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": 4}, "input_size is an integer from 8"),
        ({"merge": "sum"}, "merge is one of"),
        ({"activation": "swish"}, "activation is one of"),
        ({"stem_width": None}, "stem_width is an integer"),
        ({"first_width": 0}, "first_width is an integer"),
        ({"width_multiplier": "1"}, "width_multiplier is a number"),
        ({"cells": []}, "1 to 64 cells; got 0"),
        ({"cells": [{"width": 9, "stride": 2, "blocks": []}]}, "cell 0 changes the shape"),
        ({"cells": [{"width": 9, "stride": 3, "blocks": ["k3e1"]}]}, "the stride of a cell"),
        ({"cells": [{"width": 9, "stride": 1, "blocks": ["k3e1", "k3e1"]}]}, "different blocks"),
        ({"cells": [{"width": 9, "stride": 1, "blocks": ["k4e1"]}]}, "kernels are odd; got k4e1"),
        ({"cells": [{"width": 9, "stride": 1, "blocks": ["k3e100"]}]}, "the expansion of a block"),
        ({"cells": [{"width": 9, "stride": 1, "blocks": ["3x3"]}]}, "a block reads like"),
        ({"cells": [{"width": 9, "stride": 1, "blocks": [3]}]}, "list of texts"),
        ({"cells": [{"width": 9, "stride": 1}]}, "a cell has the fields"),
        ({"cells": {}}, "are a list"),
        ({"more": 1}, "a space of cells has the fields"),
        ({"kind": "tree"}, "a kind in"),
    ],
)
def test_malformed_spaces_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ArchitectureError, BundleError), match=message):
        from_json(PAIR.to_json() | change)
