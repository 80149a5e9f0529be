"""Segments: the parts of a network whose latencies add up, and networks that hold one of them several times.

A segment is what a choice of the search space decides: one block, the stem, the head. Its key spells its layers, so
that equal blocks of any network, space or bundle share one measurement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeAlias

import numpy as np

from eas_sdk.engine.checks import weight_shapes
from eas_sdk.graph.cost import input_shapes, output_shape
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

Segment: TypeAlias = tuple[Node, ...]


def segments(nodes: Sequence[Node]) -> list[Segment]:
    """The segments of a network in execution order: nodes of one block ("unit0.block1.expand") belong together."""
    return [tuple(part) for _, part in groupby(nodes, lambda node: node.name.rpartition(".")[0] or node.name)]


def key(segment: Sequence[Node]) -> str:
    """What a segment computes, in words; segments of equal keys take equally long."""
    first = segment[0]
    tensors = {first.inputs[0]: "in"} | {node.name: str(i) for i, node in enumerate(segment)}
    words = [_describe(node) + _sources(node, i, tensors) for i, node in enumerate(segment)]
    return f"{_size(input_shapes(first)[0])}: " + " + ".join(words)


def repeated(segment: Sequence[Node], count: int, seed: int = 0) -> Graph:
    """A network that holds a segment `count` times side by side, with random weights.

    All read one input. Their outputs are added and averaged, so that what goes in and comes out is the same for any
    `count`: the difference between two counts is due to segments and additions alone.

    Args:
        segment: nodes that read one tensor from outside and end in a map; or one Linear, then `count` is 1.
    """
    first, last = segment[0], segment[-1]
    inside = {node.name for node in segment}
    *_, channels = shape = input_shapes(first)[0]
    nodes: list[Node] = [Normalize("n", (INPUT,), shape[0], channels)]
    total = ""
    for copy in range(count):
        for node in segment:
            inputs = tuple(f"{name}:{copy}" if name in inside else "n" for name in node.inputs)
            nodes.append(replace(node, name=f"{node.name}:{copy}", inputs=inputs))  # type: ignore[arg-type]
        made = nodes[-1].name
        if not isinstance(last, Linear):
            if total:
                side, _, outs = output_shape(last)
                nodes.append(Add(f"sum:{copy}", (total, made), side, outs))
                made = nodes[-1].name
            total = made
    if not isinstance(last, Linear):
        side, _, outs = output_shape(last)
        nodes.append(GlobalMean("mean", (total,), side, outs))
    return random_weights(nodes, seed)


def input_network(size: int, channels: int = 3) -> Graph:
    """The smallest network that takes images: what every network spends before its first layer."""
    return random_weights([Normalize("n", (INPUT,), size, channels), GlobalMean("mean", ("n",), size, channels)], 0)


def additions(side: int, channels: int, count: int) -> Graph:
    """A network of `count` additions of one map."""
    nodes: list[Node] = [Normalize("n", (INPUT,), side, channels)]
    for i in range(count):
        nodes.append(Add(f"add{i}", (nodes[-1].name, "n"), side, channels))
    nodes.append(GlobalMean("mean", (nodes[-1].name,), side, channels))
    return random_weights(nodes, 0)


def random_weights(nodes: Sequence[Node], seed: int = 0) -> Graph:
    """A network of these nodes whose weights keep activations within bounds."""
    rng = np.random.default_rng(seed)
    weights = {}
    for node in nodes:
        for name, shape in weight_shapes(node).items():
            if isinstance(node, Normalize):  # keeps activations within bounds
                weights[name] = np.full(shape, 1 if name.endswith("weight") else -0.5, np.float32)
            else:
                scale = np.float32(2 / math.sqrt(math.prod(shape[:-1]) + 1))
                weights[name] = rng.random(shape, np.float32) * scale - scale / 2
    labels = tuple(map(str, range(output_shape(nodes[-1])[-1])))
    return Graph(tuple(nodes), weights, labels)


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _describe(node: Node) -> str:
    match node:
        case Conv2d():
            bias = " without bias" if node.bias == "none" else ""
            height, width = node.window
            layer = f"conv {height}x{width} {node.in_channels}>{node.out_channels}{_window(node)}{bias}"
        case DepthwiseConv2d():
            dilation = f" dilation {node.dilation}" if node.dilation > 1 else ""
            layer = f"depthwise {node.kernel}x{node.kernel}{dilation}{_window(node)}"
        case GlobalMean():
            layer = "mean"
        case Mean():
            layer = f"mean of {len(node.inputs)}"
        case Multiply():
            layer = "multiply"
        case Add():
            layer = "add"
        case Linear():
            layer = f"linear {node.in_features}>{node.out_features}"
        case Normalize():
            layer = "normalize"
    activation = getattr(node, "activation", "none")
    return layer if activation == "none" else f"{layer} {activation}"


def _window(node: Conv2d | DepthwiseConv2d) -> str:
    stride = f" stride {node.stride}" if node.stride > 1 else ""
    reach = node.reach if isinstance(node, DepthwiseConv2d) else node.kernel
    padding = f" padding {node.padding}" if node.padding != reach // 2 else ""
    trailing = f" trailing {node.trailing}" if node.trailing else ""
    return stride + padding + trailing


def _sources(node: Node, index: int, tensors: dict[str, str]) -> str:
    """Where a node reads anything but the result of the one before it."""
    usual = (str(index - 1) if index else "in",)
    read = tuple(tensors.get(name, "in") for name in node.inputs)
    return "" if read == usual else f"({', '.join(read)})"
