"""The nodes of sub-networks: consistent shapes, and the documented macro-structure."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import members, spaces

from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, Linear, Multiply, Normalize, same_padding
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import LITE0, PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import size_of


@given(members())
def test_every_node_reads_what_was_made_in_the_shape_that_was_made(
    member: tuple[ElasticSpace, Architecture],
) -> None:
    space, architecture = member
    nodes = space.structure(architecture, classes=7)
    size = size_of(space, architecture)
    made: dict[str, tuple[int, ...]] = {INPUT: (size, size, 3)}
    for node in nodes:
        assert node.name not in made
        inputs = [made[name] for name in node.inputs]
        match node:
            case Conv2d():
                assert inputs == [(node.size, node.size, node.in_channels)]
            case Linear():
                assert inputs == [(1, 1, node.in_features)]
            case Multiply():
                assert inputs == [(node.size, node.size, node.channels), (1, 1, node.channels)]
            case _:
                assert all(shape == (node.size, node.size, node.channels) for shape in inputs)
        made[node.name] = output_shape(node)
    assert isinstance(nodes[0], Normalize)
    assert made[nodes[-1].name] == (7,)
    depthwise = [node.kernel for node in nodes if isinstance(node, DepthwiseConv2d)]
    assert depthwise == [block.kernel for block in architecture.blocks]


@given(members())
def test_blocks_have_what_their_unit_says(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    nodes = {node.name: node for node in space.structure(architecture, classes=7)}
    for u, (unit, blocks) in enumerate(zip(space.units, architecture.units, strict=True)):
        for b, block in enumerate(blocks):
            name = f"unit{u}.block{b}"
            inner, outer = space.widths(u, b)
            middle, last = nodes[f"{name}.depthwise"], nodes[f"{name}.project"]
            assert isinstance(middle, DepthwiseConv2d)
            assert isinstance(last, Conv2d)
            assert (middle.stride, middle.activation) == (unit.stride if b == 0 else 1, unit.activation)
            assert middle.channels == last.in_channels == space.hidden(u, b, block.expansion)
            assert (last.out_channels, last.activation, last.bias) == (outer, "none", "norm")
            assert (f"{name}.expand" in nodes) == (block.expansion != 1)
            assert block.expansion != 1 or middle.channels == inner
            assert (f"{name}.squeeze" in nodes) == unit.squeeze_excite
            assert (f"{name}.add" in nodes) == (middle.stride == 1 and inner == outer)
    assert nodes["stem"] == dataclasses.replace(
        nodes["stem"], stride=space.stem.stride, activation=space.stem.activation, out_channels=space.widths(0, 0)[0]
    )
    assert ("feature" in nodes) == (space.head.feature is not None)
    if space.head.feature is not None:
        feature = nodes["feature"]
        assert isinstance(feature, Conv2d)
        assert feature.bias == ("own" if space.head.feature_bias else "none")
        assert feature.activation == space.head.activation


@given(members())
def test_padding_is_the_space_s(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    for node in space.structure(architecture, classes=2):
        if isinstance(node, (Conv2d, DepthwiseConv2d)):
            before, behind = node.pads[0]
            total = before + behind
            assert node.out_size == -(-node.size // node.stride), "either way of padding keeps as many positions"
            if space.padding == "symmetric":
                assert before == behind == node.kernel // 2
            else:
                # The least that gives so many positions, the odd one behind.
                assert total == max(0, (node.out_size - 1) * node.stride + node.kernel - node.size)
                assert behind - before in (0, 1)


@given(st.integers(1, 300), st.integers(1, 15), st.integers(1, 3))
def test_same_padding(size: int, reach: int, stride: int) -> None:
    padding, trailing = same_padding(size, reach, stride)
    assert trailing in (0, 1)
    assert (size + 2 * padding + trailing - reach) // stride + 1 >= -(-size // stride)
    if reach % 2 and stride == 1:
        assert (padding, trailing) == (reach // 2, 0)


@pytest.mark.parametrize(
    ("size", "reach", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (112, 5, 2, (1, 1)),
        (7, 3, 2, (1, 0)),
        (7, 5, 2, (2, 0)),
        (8, 1, 2, (0, 0)),
        (1, 3, 2, (1, 0)),
    ],
)
def test_same_padding_by_hand(size: int, reach: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, reach, stride) == expected


def test_the_paper_s_largest_network() -> None:
    nodes = {node.name: node for node in PAPER.structure(PAPER.largest, 1000)}
    sizes = [output_shape(nodes[f"unit{u}.block0.project"]) for u in range(6)]
    assert sizes == [(112, 112, 16), (56, 56, 24), (28, 28, 40), (14, 14, 80), (14, 14, 112), (7, 7, 160)]
    assert {name for name, node in nodes.items() if isinstance(node, Add)} == {"unit0.block0.add"} | {
        f"unit{u}.block{b}.add" for u in range(1, 6) for b in range(1, 4)
    }
    assert {name for name in nodes if name.endswith(".squeeze")} == {
        f"unit{u}.block{b}.squeeze" for u in (2, 4, 5) for b in range(4)
    }
    squeeze = nodes["unit5.block1.squeeze"]
    assert isinstance(squeeze, Conv2d)
    assert (squeeze.in_channels, squeeze.out_channels, squeeze.activation) == (960, 240, "relu")
    excite = nodes["unit5.block1.excite"]
    assert isinstance(excite, Conv2d)
    assert excite.activation == "hard_sigmoid"
    # A first block keeps its residual where neither width nor size changes; here none does.
    assert "unit4.block0.add" not in nodes
    assert [node.activation for node in nodes.values() if isinstance(node, DepthwiseConv2d)] == (
        ["relu"] * 9 + ["hard_swish"] * 12
    )


def test_efficientnet_lite0_is_lite0_s_largest() -> None:
    nodes = LITE0.structure(LITE0.largest, 1000)
    by_name = {node.name: node for node in nodes}
    rows = "1 16 3 1 | 2 24 3 2 | 2 40 5 2 | 3 80 3 2 | 3 112 5 1 | 4 192 5 2 | 1 320 3 1"  # Tan & Le 2019, table 1
    for u, row in enumerate(rows.split("|")):
        blocks, width, kernel, stride = map(int, row.split())
        assert len(LITE0.largest.units[u]) == blocks
        middle, last = by_name[f"unit{u}.block0.depthwise"], by_name[f"unit{u}.block0.project"]
        assert isinstance(middle, DepthwiseConv2d)
        assert (middle.kernel, middle.stride, output_shape(last)[-1]) == (kernel, stride, width)
    convolutions = [n for n in nodes if isinstance(n, (Conv2d, DepthwiseConv2d))]
    assert {n.activation for n in convolutions} == {"relu6", "none"}
    assert {n.bias for n in convolutions if isinstance(n, Conv2d)} == {"norm"}
    assert [n.name for n in nodes[-3:]] == ["head", "pool", "classifier"]
    # TensorFlow's padding: of a stride of 2 over an even side, all zeros but one lie evenly around.
    assert {(n.kernel, n.pads[0]) for n in convolutions if n.stride == 2} == {(3, (0, 1)), (5, (1, 2))}
    assert {(n.kernel, n.pads[0]) for n in convolutions if n.stride == 1} == {(1, (0, 0)), (3, (1, 1)), (5, (2, 2))}


@given(spaces())
def test_the_bank_is_the_largest_network(space: ElasticSpace) -> None:
    assert space.bank(3) == space.structure(space.largest, 3)
    assert space.classifier(3) == dataclasses.replace(space.bank(3)[-1], inputs=space.classifier(3).inputs)


@given(members())
def test_every_node_is_within_the_bank(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    bank = {node.name: node for node in space.bank(3)}
    for node in space.structure(architecture, 3):
        full = bank[node.name]
        match node, full:
            case (Conv2d(), Conv2d()):
                assert (node.in_channels, node.out_channels) <= (full.in_channels, full.out_channels)
                assert node.in_channels <= full.in_channels
                assert node.out_channels <= full.out_channels
                assert node.window == full.window
            case (DepthwiseConv2d(), DepthwiseConv2d()):
                assert node.channels <= full.channels
                assert node.kernel <= full.kernel
                assert (full.kernel - node.kernel) % 2 == 0
            case _:
                assert type(node) is type(full)


def test_a_foreign_architecture_is_refused() -> None:
    with pytest.raises(ArchitectureError):
        PAPER.structure(Architecture.parse("k3e6"), 10)
