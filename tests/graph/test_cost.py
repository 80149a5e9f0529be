"""Counts on nodes: the values that the papers state, and memory by a simulation of its own."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from strategies import members

from eas_sdk.graph.cost import (
    cost,
    last_uses,
    madds,
    output_shape,
    parameters,
    peak_activation_bytes,
    total_weight_elements,
)
from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, Linear, Node, Normalize
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import LITE0, PAPER
from eas_sdk.space.elastic.space import ElasticSpace

AT_128 = dataclasses.replace(PAPER, input_sizes=(128,))


@pytest.mark.parametrize(
    ("space", "end", "classes", "millions"),
    [
        (PAPER, "largest", 1000, 563.7),
        (PAPER, "smallest", 1000, 121.0),
        (AT_128, "smallest", 1000, 41.2),
        (PAPER, "largest", 60, 562.5),
        (PAPER, "smallest", 60, 119.8),
    ],
)
def test_multiply_adds_of_the_paper_s_space(space: ElasticSpace, end: str, classes: int, millions: float) -> None:
    counted = cost(space.structure(getattr(space, end), classes))
    assert round(counted.madds_without_se / 1e6, 1) == millions
    assert counted.madds > counted.madds_without_se


def test_the_input_size_changes_multiply_adds_alone() -> None:
    """Where no map has an odd side, they are as many as the pixels, the classifier's aside."""
    assert 49 * 7_834_848 + 1_280_000 == 385_187_552
    for size in LITE0.input_sizes:
        counted = cost(LITE0.structure(dataclasses.replace(LITE0.largest, input_size=size), 1000))
        assert counted.madds == (size // 32) ** 2 * 7_834_848 + 1_280_000
        assert counted.parameters == 4_652_008


@pytest.mark.parametrize(("end", "millions"), [("largest", 7.66), ("smallest", 3.41)])
def test_parameters_of_the_paper_s_space(end: str, millions: float) -> None:
    counted = cost(PAPER.structure(getattr(PAPER, end), 1000))
    assert round(counted.parameters / 1e6, 2) == millions


@pytest.mark.parametrize(("end", "channels"), [("smallest", 5968), ("largest", 20912)])
def test_batch_norm_channels_of_the_paper_s_space(end: str, channels: int) -> None:
    nodes = PAPER.structure(getattr(PAPER, end), 1000)
    normalised = [n for n in nodes if isinstance(n, (Conv2d, DepthwiseConv2d))]
    normalised = [n for n in normalised if not n.name.endswith((".squeeze", ".excite")) and n.name != "feature"]
    assert sum(output_shape(node)[-1] for node in normalised) == channels


def simulated_peak(nodes: tuple[Node, ...]) -> int:
    """At each step, what exists already and is read at that step or later, and what the step makes."""
    made_at = {INPUT: -1} | {node.name: i for i, node in enumerate(nodes)}
    size = {node.name: 4 * math.prod(output_shape(node)) for node in nodes}
    first = nodes[0]
    assert isinstance(first, Normalize)
    size[INPUT] = 4 * first.size * first.size * 3
    peak = 0
    for i, node in enumerate(nodes):
        held = {name for later in nodes[i:] for name in later.inputs if made_at[name] < i} | {node.name}
        peak = max(peak, sum(size[name] for name in held))
    return peak


@given(members())
def test_peak_activation_bytes_by_simulation(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    nodes = space.structure(architecture, classes=5)
    assert peak_activation_bytes(nodes) == simulated_peak(nodes)


def test_counts_of_every_kind_of_convolution_by_hand() -> None:
    conv = Conv2d("a", ("x",), 8, 3, 5, 3, 2, 0, "relu6", trailing=1)
    assert (conv.out_size, output_shape(conv)) == (4, (4, 4, 5))
    assert madds(conv) == 4 * 4 * 9 * 3 * 5
    biases = {"norm": 2, "own": 1, "none": 0}
    assert {b: parameters(dataclasses.replace(conv, bias=b)) for b in biases} == {
        b: 5 * (9 * 3 + n) for b, n in biases.items()
    }
    assert {b: total_weight_elements([dataclasses.replace(conv, bias=b)]) for b in biases} == {
        b: 5 * (9 * 3 + min(n, 1)) for b, n in biases.items()
    }
    depthwise = DepthwiseConv2d("a", ("x",), 8, 3, 5, 2, 1, "relu6", trailing=1)
    assert (depthwise.out_size, madds(depthwise), parameters(depthwise)) == (4, 4 * 4 * 25 * 3, 3 * (25 + 2))
    assert dataclasses.replace(depthwise, padding=2, trailing=0).out_size == 4
    assert dataclasses.replace(depthwise, trailing=0).out_size == 3


def test_peak_activation_bytes_by_hand() -> None:
    nodes = (
        Normalize("normalize", (INPUT,), 4, 3),
        Conv2d("a", ("normalize",), 4, 3, 2, 1, 1, 0, "relu"),
        Conv2d("b", ("a",), 4, 2, 5, 1, 1, 0, "relu"),
        Conv2d("c", ("b",), 4, 5, 2, 1, 1, 0, "none"),
        Add("d", ("c", "a"), 4, 2),
    )
    assert peak_activation_bytes(nodes) == 4 * 16 * (2 + 5 + 2)  # a waits for the sum while b becomes c
    assert last_uses(nodes) == {INPUT: 0, "normalize": 1, "a": 4, "b": 3, "c": 4, "d": 5}


@given(members())
def test_stored_numbers_are_parameters_with_batch_norm_folded(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    nodes = space.structure(architecture, classes=5)
    norms = sum(
        output_shape(node)[-1]
        for node in nodes
        if isinstance(node, DepthwiseConv2d) or (isinstance(node, Conv2d) and node.bias == "norm")
    )
    assert total_weight_elements(nodes) == cost(nodes).parameters - norms + 6  # those of the normalisation


@given(members())
def test_a_class_more_costs_one_row(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    few, more = (space.structure(architecture, classes=n) for n in (5, 6))
    last = few[-1]
    assert isinstance(last, Linear)
    assert cost(more).madds - cost(few).madds == last.in_features
    assert cost(more).parameters - cost(few).parameters == last.in_features + 1
