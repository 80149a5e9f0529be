"""Segments: parts of networks whose keys say what they compute, and networks made of one of them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from bundles import SPACE
from engine.graphs import images
from hypothesis import given
from hypothesis import strategies as st
from strategies import members, spaces

from eas_sdk.engine.checks import check_graph
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.graph.cost import input_shapes
from eas_sdk.graph.nodes import (
    INPUT,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Mean,
    Multiply,
    Node,
    Normalize,
)
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.segments import Segment, additions, input_network, key, repeated, segments
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.network import block_nodes
from eas_sdk.space.elastic.space import ElasticSpace


def layers(segment: Segment) -> tuple[Node, ...]:
    """The nodes, each named by its place."""
    places = {node.name: str(i) for i, node in enumerate(segment)}
    return tuple(
        dataclasses.replace(node, name=places[node.name], inputs=tuple(places.get(n, "in") for n in node.inputs))
        for node in segment
    )


def outside(segment: Segment) -> set[str]:
    """Tensors that a segment reads and does not make."""
    return {name for node in segment for name in node.inputs} - {node.name for node in segment}


@given(members(), st.integers(1, 20))
def test_segments_partition_the_nodes(member: tuple[ElasticSpace, Architecture], classes: int) -> None:
    space, architecture = member
    nodes = space.structure(architecture, classes)
    parts = segments(nodes)
    assert tuple(itertools.chain(*parts)) == nodes
    assert len(parts) == len(architecture.blocks) + 7
    for part, following in itertools.pairwise(parts):
        assert outside(following) == {part[-1].name}, "a segment reads the end of the one before it, and nothing else"
    assert outside(parts[0]) == {INPUT}


STAGE = SPACE.stages[2]
SPACES = [
    SPACE,
    dataclasses.replace(SPACE, width_multiplier=0.5),
    *(
        dataclasses.replace(SPACE, stages=(*SPACE.stages[:2], dataclasses.replace(STAGE, **change), *SPACE.stages[3:]))
        for change in ({"squeeze_excite": True}, {"activation": "relu"})
    ),
]
CHOICES = {
    "space": SPACES,
    "unit": [2],
    "index": [0, 1, 2, 3],
    "block": [Block(kernel, expansion) for kernel in SPACE.kernels for expansion in SPACE.expansions],
    "size": [4, 5, 8],
    "stride": [1, 2],
    "source": ["a", "b"],
}


def test_keys_are_equal_where_layers_are() -> None:
    found: dict[str, set[tuple[Node, ...]]] = {}
    for values in itertools.product(*CHOICES.values()):
        block = tuple(block_nodes(**dict(zip(CHOICES, values, strict=True))))
        found.setdefault(key(block), set()).add(layers(block))
    assert {len(same) for same in found.values()} == {1}, "one key, one sequence of layers"
    assert len(set.union(*found.values())) == len(found), "and the other way round"
    assert len(found) == 4 * 2 * 3 * 3 * 3 * 2


@given(spaces())
def test_every_segment_of_a_space_has_a_key_of_its_own(space: ElasticSpace) -> None:
    parts = [part.nodes for part in space.every_part()] + segments(space.structure(space.largest, 3))
    found: dict[str, tuple[Node, ...]] = {}
    for part in parts:
        assert found.setdefault(key(part), layers(part)) == layers(part)
    assert len(set(found.values())) == len(found)


def test_blocks_of_one_shape_share_a_key_wherever_they_are() -> None:
    parts = segments(SPACE.structure(SPACE.largest, 3))
    keys = [key(part) for part in parts if part[0].name.startswith("unit")]
    assert len(keys) == 20
    for unit in range(5):
        first, *others = keys[4 * unit : 4 * unit + 4]
        assert len(set(others)) == 1
        assert first not in others
    wider = dataclasses.replace(SPACE, head_width=2 * SPACE.head_width)
    again = [key(part) for part in segments(wider.structure(wider.largest, 9))]
    assert [k for k in again if k in keys] == keys


def test_keys_are_readable() -> None:
    segment = next(
        part for part in segments(SPACE.structure(SPACE.smallest, 3)) if part[0].name == "unit1.block1.expand"
    )
    assert key(segment) == (
        "4x4x16: conv 1x1 16>48 relu + depthwise 3x3 relu + mean + conv 1x1 48>16 relu + conv 1x1 16>48 hard_sigmoid "
        "+ multiply(1, 4) + conv 1x1 48>16 + add(6, in)"
    )


CHANGES: list[tuple[Node, dict[str, object]]] = [
    (
        Conv2d("a", ("x",), 9, 4, 8, 3, 1, 1, "relu"),
        {
            "size": 10,
            "in_channels": 5,
            "out_channels": 9,
            "kernel": 5,
            "stride": 2,
            "padding": 0,
            "activation": "hard_swish",
            "bias": "none",
            "along": "width",
            "trailing": 1,
        },
    ),
    (
        DepthwiseConv2d("a", ("x",), 9, 4, 3, 1, 1, "relu"),
        {
            "size": 10,
            "channels": 5,
            "kernel": 5,
            "stride": 2,
            "padding": 0,
            "activation": "none",
            "dilation": 2,
            "trailing": 1,
        },
    ),
    (GlobalMean("a", ("x",), 9, 4), {"size": 10, "channels": 5}),
    (Normalize("a", ("x",), 9, 4), {"size": 10, "channels": 5}),
    (Add("a", ("x", "x"), 9, 4), {"size": 10, "channels": 5}),
    (Mean("a", ("x", "x"), 9, 4), {"size": 10, "channels": 5}),
    (Multiply("a", ("x", "x"), 9, 4), {"size": 10, "channels": 5}),
    (Linear("a", ("x",), 9, 4), {"in_features": 10, "out_features": 5}),
]


@pytest.mark.parametrize(("node", "changes"), CHANGES, ids=lambda v: type(v).__name__)
def test_a_change_of_any_field_changes_the_key(node: Node, changes: dict[str, object]) -> None:
    assert {f.name for f in dataclasses.fields(node)} == {"name", "inputs", *changes}
    keys = {key([dataclasses.replace(node, **{name: value})]) for name, value in changes.items()}
    assert len(keys | {key([node])}) == len(changes) + 1
    named = dataclasses.replace(node, name="b", inputs=("y",) * len(node.inputs))
    assert key([named]) == key([node]), "names are no layers"
    others = [key([other]) for other, _ in CHANGES if other != node]
    assert key([node]) not in others


def test_where_a_bias_comes_from_is_no_layer() -> None:
    conv = Conv2d("a", ("x",), 9, 4, 8, 3, 1, 1, "relu")
    assert key([conv]) == key([dataclasses.replace(conv, bias="own")])


def test_zeros_that_lie_behind_are_in_the_key() -> None:
    stem = Conv2d("a", ("x",), 224, 3, 32, 3, 2, 0, "relu6", trailing=1)
    assert key([stem]) == "224x224x3: conv 3x3 3>32 stride 2 padding 0 trailing 1 relu6"


def test_a_change_of_what_is_read_changes_the_key() -> None:
    conv = Conv2d("a", ("x",), 9, 4, 4, 3, 1, 1, "relu")
    again = dataclasses.replace(conv, name="b", inputs=("a",))
    chain, fork = ([conv, again, Add("c", inputs, 9, 4)] for inputs in (("b", "a"), ("b", "x")))
    assert key(chain) != key(fork)


def alone(graph: Graph, copy: int, segment: Segment) -> Graph:
    """One copy of the segment in a repeated network, as a network of its own."""
    kept = [node for node in graph.nodes if node.name == "n" or node.name.endswith(f":{copy}")]
    kept = [node for node in kept if not node.name.startswith("sum:")]
    if isinstance(segment[-1], Linear):
        return Graph(tuple(kept), graph.weights, graph.labels)
    mean = dataclasses.replace(graph.nodes[-1], inputs=(kept[-1].name,))
    return Graph((*kept, mean), graph.weights, graph.labels)


@pytest.mark.parametrize("count", [1, 3])
def test_a_repeated_segment_computes_the_mean_of_the_sum(count: int) -> None:
    parts = segments(
        SPACE.structure(Architecture.parse("k3e3 k5e4 | k7e6 k3e3 | k5e4 k3e3 | k3e4 k7e3 | k3e3 k3e3"), 3)
    )
    for part in parts[1:]:
        graph = repeated(part, 1 if isinstance(part[-1], Linear) else count)
        check_graph(graph)
        side, _, channels = input_shapes(part[0])[0]
        batch = images(side, 2, channels=channels)
        copies = range(count if not isinstance(part[-1], Linear) else 1)
        each = [NumpyEngine().compile(alone(graph, copy, part)).run(batch) for copy in copies]
        found = NumpyEngine().compile(graph).run(batch)
        np.testing.assert_allclose(found, sum(each), rtol=1e-3, atol=1e-5)
        assert np.ptp(found) > 0
        for one, other in itertools.combinations(each, 2):
            assert np.abs(one - other).max() > 0 or not graph_has_weights(part), "copies have weights of their own"


def graph_has_weights(part: Segment) -> bool:
    return any(isinstance(node, (Conv2d, DepthwiseConv2d, Linear)) for node in part)


@given(spaces(), st.integers(1, 3))
def test_every_segment_can_be_repeated(space: ElasticSpace, count: int) -> None:
    for part in space_segments(space, (2,)):
        if isinstance(part[0], Normalize):
            continue
        graph = repeated(part, 1 if isinstance(part[-1], Linear) else count)
        check_graph(graph)
        made = [node for node in graph.nodes if node.name.partition(":")[0] in {n.name for n in part}]
        assert len(made) == len(part) * (1 if isinstance(part[-1], Linear) else count)


def test_equal_seeds_give_equal_weights() -> None:
    part = segments(SPACE.structure(SPACE.smallest, 3))[3]
    one, same, other = (repeated(part, 2, seed) for seed in (0, 0, 1))
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(weight, same.weights[name])
    assert any((weight != other.weights[name]).any() for name, weight in one.weights.items())


@pytest.mark.parametrize(("size", "channels"), [(1, 1), (7, 3), (5, 40)])
def test_the_networks_to_compare_with(size: int, channels: int) -> None:
    batch = images(size, 2, channels=channels)
    normal = batch - 0.5
    for graph, factor in ((input_network(size, channels), 1), (additions(size, channels, 4), 5)):
        check_graph(graph)
        found = NumpyEngine().compile(graph).run(batch)
        np.testing.assert_allclose(found.reshape(2, -1), factor * normal.mean((1, 2)), rtol=1e-4, atol=1e-5)
