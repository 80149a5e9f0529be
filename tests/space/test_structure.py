"""The nodes of sub-networks: consistent shapes, and the documented macro-structure."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import members

from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, Linear, Multiply, Normalize
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.space import ElasticSpace


@given(members())
def test_every_node_reads_what_was_made_in_the_shape_that_was_made(
    member: tuple[ElasticSpace, Architecture],
) -> None:
    space, architecture = member
    nodes = space.structure(architecture, classes=7)
    made: dict[str, tuple[int, ...]] = {INPUT: (space.input_size, space.input_size, 3)}
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
    assert depthwise == [3] + [block.kernel for block in architecture.blocks]


def test_the_paper_s_largest_network() -> None:
    nodes = {node.name: node for node in PAPER.structure(PAPER.largest, 1000)}
    sizes = {u: output_shape(nodes[f"unit{u}.block0.project"]) for u in range(5)}
    assert sizes == {0: (56, 56, 24), 1: (28, 28, 40), 2: (14, 14, 80), 3: (14, 14, 112), 4: (7, 7, 160)}
    assert {name for name, node in nodes.items() if isinstance(node, Add)} == {"first.add"} | {
        f"unit{u}.block{b}.add" for u in range(5) for b in range(1, 4)
    }
    assert {name for name in nodes if name.endswith(".squeeze")} == {
        f"unit{u}.block{b}.squeeze" for u in (1, 3, 4) for b in range(4)
    }
    squeeze = nodes["unit4.block1.squeeze"]
    assert isinstance(squeeze, Conv2d)
    assert (squeeze.in_channels, squeeze.out_channels, squeeze.activation) == (960, 240, "relu")
    excite = nodes["unit4.block1.excite"]
    assert isinstance(excite, Conv2d)
    assert excite.activation == "hard_sigmoid"
    # A first block keeps its residual where neither width nor size changes; here none does.
    assert "unit3.block0.add" not in nodes
    assert [node.activation for node in nodes.values() if isinstance(node, DepthwiseConv2d)] == (
        ["relu"] * 9 + ["hard_swish"] * 12
    )


def test_a_foreign_architecture_is_refused() -> None:
    with pytest.raises(ArchitectureError):
        PAPER.structure(Architecture.parse("k3e6"), 10)
