"""Segments: parts of networks whose keys say what they compute, and networks made of one of them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from bundles import SIZES, SPACE
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
    around = 6 if space.head.feature is not None else 5  # normalise, stem, head, mean, perhaps a layer, classifier
    assert len(parts) == len(architecture.blocks) + around
    for part, following in itertools.pairwise(parts):
        assert outside(following) == {part[-1].name}, "a segment reads the end of the one before it, and nothing else"
    assert outside(parts[0]) == {INPUT}


UNIT = SPACE.units[3]
SPACES = [
    SPACE,
    dataclasses.replace(SPACE, width_multiplier=0.5),
    dataclasses.replace(SPACE, padding="same"),
    *(
        dataclasses.replace(SPACE, units=(*SPACE.units[:3], dataclasses.replace(UNIT, **change), *SPACE.units[4:]))
        for change in ({"squeeze_excite": True}, {"activation": "relu"}, {"activation": "relu6"}, {"stride": 1})
    ),
]
BLOCKS = [Block(kernel, expansion) for kernel in UNIT.kernels for expansion in UNIT.expansions]
CHOICES = {
    "space": SPACES,
    "unit": [3],
    "index": [0, 1, 2, 3],
    "block": BLOCKS,
    "size": [4, 5, 8],
    "source": ["a", "b"],
}


def test_keys_are_equal_where_layers_are() -> None:
    found: dict[str, set[tuple[Node, ...]]] = {}
    for values in itertools.product(*CHOICES.values()):
        block = tuple(block_nodes(**dict(zip(CHOICES, values, strict=True))))
        found.setdefault(key(block), set()).add(layers(block))
    assert {len(same) for same in found.values()} == {1}, "one key, one sequence of layers"
    assert len(set.union(*found.values())) == len(found), "and the other way round"
    # A first block differs by width, squeeze-and-excitation, activations and stride, and over an even side by what pads
    # a stride of 2; a later one by neither of these two.
    assert len(found) == len(BLOCKS) * (3 * 6 + 2 + 3 * 5)


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
    assert len(keys) == 21
    for unit in range(5):
        first, *others = keys[1 + 4 * unit : 5 + 4 * unit]
        assert len(set(others)) == 1
        assert first not in others
    wider = dataclasses.replace(SPACE, head=dataclasses.replace(SPACE.head, width=2 * SPACE.head.width))
    again = [key(part) for part in segments(wider.structure(wider.largest, 9))]
    assert [k for k in again if k in keys] == keys


def test_keys_are_readable() -> None:
    segment = next(
        part for part in segments(SPACE.structure(SPACE.smallest, 3)) if part[0].name == "unit2.block1.expand"
    )
    assert key(segment) == (
        "4x4x16: conv 1x1 16>48 relu + depthwise 3x3 relu + mean + conv 1x1 48>16 relu + conv 1x1 16>48 hard_sigmoid "
        "+ multiply(1, 4) + conv 1x1 48>16 + add(6, in)"
    )
    first, _, fixed, *rest = [key(part) for part in segments(SIZES.structure(SIZES.largest, 3))]
    assert first == "64x64x3: normalize"
    assert fixed == "32x32x8: depthwise 3x3 relu6 + conv 1x1 8>8 + add(1, in)"
    assert rest[0].startswith("32x32x8: conv 1x1 8>48 relu6 + depthwise 3x3 stride 2 padding 0 trailing 1 relu6 + conv")
    assert rest[2].startswith("16x16x8: conv 1x1 8>48 relu6 + depthwise 5x5 stride 2 padding 1 trailing 1 relu6 + conv")


def test_networks_of_two_sizes_share_what_has_no_map() -> None:
    keys = {
        size: {key(part) for part in segments(SIZES.structure(dataclasses.replace(SIZES.largest, input_size=size), 3))}
        for size in (32, 48)
    }
    assert keys[32] & keys[48] == {"1x1x320: linear 320>3"}
    assert len(keys[32]) == len(keys[48])


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
    if isinstance(node, Conv2d):
        assert key([dataclasses.replace(node, bias="own")]) == key([node]), "a bias is a bias"
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
@pytest.mark.parametrize(
    ("space", "text"),
    [
        (SPACE, "k3e1 | k3e3 k5e4 | k7e6 k3e3 | k5e4 k3e3 | k3e4 k7e3 | k3e3 k3e3"),
        (SIZES, "48px k3e1 | k3e3 | k5e4 k3e6 | k3e5 | k5e3"),
    ],
    ids=["one size", "three"],
)
def test_a_repeated_segment_computes_the_mean_of_the_sum(space: ElasticSpace, text: str, count: int) -> None:
    for part in segments(space.structure(Architecture.parse(text), 3))[1:]:
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
