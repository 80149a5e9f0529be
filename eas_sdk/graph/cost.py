"""What a network costs, counted on its nodes: multiply-adds, parameters, peak activation memory."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from eas_sdk.graph.nodes import (
    Add,
    Bias,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Linear,
    Mean,
    Multiply,
    Node,
    Normalize,
)

BIAS_NUMBERS: Mapping[Bias, int] = {"norm": 2, "own": 1, "none": 0}
"""Trained numbers of a channel behind a convolution's bias: a batch-norm has a scale and an offset."""


@dataclass(frozen=True)
class Cost:
    """Cost of one image through one network.

    Attributes:
        madds: multiply-adds of every convolution and fully connected layer, squeeze-and-excitation
            included; this is what a budget bounds.
        madds_without_se: the same without squeeze-and-excitation, the convention of the papers' tables.
        parameters: trained weights as the papers count them: convolutions, two numbers a channel for each
            batch-norm, fully connected layers.
        peak_activation_bytes: greatest sum of float32 activations alive at once (each node's inputs and
            output, and whatever a later node still reads).
    """

    madds: int
    madds_without_se: int
    parameters: int
    peak_activation_bytes: int


def cost(nodes: Sequence[Node]) -> Cost:
    """Cost of a network given by its nodes."""
    return Cost(
        madds=sum(madds(node) for node in nodes),
        madds_without_se=sum(madds(node) for node in nodes if not _in_squeeze_excite(node)),
        parameters=sum(parameters(node) for node in nodes),
        peak_activation_bytes=peak_activation_bytes(nodes),
    )


def madds(node: Node) -> int:
    """Multiply-adds of one node for one image; 0 for nodes that only scale, add or average."""
    match node:
        case Conv2d():
            return node.out_size**2 * math.prod(node.window) * node.in_channels * node.out_channels
        case DepthwiseConv2d():
            return node.out_size**2 * node.kernel**2 * node.channels
        case Linear():
            return node.in_features * node.out_features
        case _:
            return 0


def parameters(node: Node) -> int:
    """Trained parameters behind one node, batch-norm unfolded: its folded bias is two numbers a channel."""
    match node:
        case Conv2d():
            return node.out_channels * (math.prod(node.window) * node.in_channels + BIAS_NUMBERS[node.bias])
        case DepthwiseConv2d():
            return node.channels * (node.kernel**2 + 2)
        case Linear():
            return (node.in_features + 1) * node.out_features
        case _:
            return 0


def output_shape(node: Node) -> tuple[int, ...]:
    """Shape of a node's output for one image: (H, W, C), or (classes,) for Linear."""
    match node:
        case Conv2d():
            return node.out_size, node.out_size, node.out_channels
        case DepthwiseConv2d():
            return node.out_size, node.out_size, node.channels
        case GlobalMean():
            return 1, 1, node.channels
        case Linear():
            return (node.out_features,)
        case Normalize() | Multiply() | Add() | Mean():
            return node.size, node.size, node.channels


def input_shapes(node: Node) -> tuple[tuple[int, ...], ...]:
    """H x W x C of each tensor that a node reads, by its own account."""
    match node:
        case Linear():
            return ((1, 1, node.in_features),)
        case Conv2d():
            return ((node.size, node.size, node.in_channels),)
    shape = (node.size, node.size, node.channels)
    match node:
        case Multiply():
            return shape, (1, 1, node.channels)
        case Add():
            return shape, shape
        case Mean():
            return (shape,) * len(node.inputs)
        case _:
            return (shape,)


def last_uses(nodes: Sequence[Node]) -> dict[str, int]:
    """For every tensor, the index of the last node that reads it (the network's output: len(nodes))."""
    last = {name: i for i, node in enumerate(nodes) for name in node.inputs}
    return last | {nodes[-1].name: len(nodes)}


def peak_activation_bytes(nodes: Sequence[Node], kept: Collection[str] = ()) -> int:
    """Greatest sum of float32 activation bytes alive at once for one image, by liveness.

    Args:
        nodes: a network, or a block of one: nodes of which no other than the first reads anything new from outside.
        kept: tensors that something after these nodes reads as well.
    """
    first = nodes[0]
    last = last_uses(nodes) | dict.fromkeys(kept, len(nodes))
    alive = {name: 4 * math.prod(shape) for name, shape in zip(first.inputs, input_shapes(first), strict=True)}
    peak = 0
    for i, node in enumerate(nodes):
        alive[node.name] = 4 * math.prod(output_shape(node))
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last[name] > i}
    return peak


def total_weight_elements(nodes: Iterable[Node]) -> int:
    """Numbers that the folded network stores: weights and one bias a channel."""
    total = 0
    for node in nodes:
        match node:
            case Conv2d():
                total += node.out_channels * (math.prod(node.window) * node.in_channels + (node.bias != "none"))
            case DepthwiseConv2d():
                total += node.channels * (node.kernel**2 + 1)
            case Linear():
                total += node.out_features * (node.in_features + 1)
            case Normalize():
                total += 2 * node.channels
            case _:
                pass
    return total


def _in_squeeze_excite(node: Node) -> bool:
    return node.name.endswith((".squeeze", ".excite"))
