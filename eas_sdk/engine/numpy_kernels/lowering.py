"""From the nodes of a graph to the kernels that run it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from eas_sdk.engine.numpy_kernels import pointwise
from eas_sdk.engine.numpy_kernels.dense import Dense
from eas_sdk.engine.numpy_kernels.epilogue import Epilogue, scaled
from eas_sdk.engine.numpy_kernels.expansion import Expansion
from eas_sdk.engine.numpy_kernels.interleaved import InterleavedDepthwise
from eas_sdk.engine.numpy_kernels.pairwise import PairwiseDepthwise
from eas_sdk.engine.numpy_kernels.plan import Kernel, Step
from eas_sdk.engine.numpy_kernels.planar import PlanarDepthwise
from eas_sdk.engine.numpy_kernels.window import Window, crop
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.nodes import (
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


def lower(graph: Graph) -> tuple[Step, ...]:
    """The steps of a checked graph. A 1x1 convolution that only a depthwise convolution reads becomes part of it."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    pointwise_nodes = {n.name: n for n in graph.nodes if isinstance(n, Conv2d) and _is_pointwise(n)}
    expansions = {
        node.name: pointwise_nodes[node.inputs[0]]
        for node in graph.nodes
        if isinstance(node, DepthwiseConv2d) and node.inputs[0] in pointwise_nodes and readers[node.inputs[0]] == 1
    }
    absorbed = {expansion.name for expansion in expansions.values()}
    steps = []
    for node in graph.nodes:
        if isinstance(node, DepthwiseConv2d):
            expansion = expansions.get(node.name)
            inputs = expansion.inputs if expansion else node.inputs
            steps.append(Step(_depthwise(graph, node, expansion), inputs, node.name))
        elif node.name not in absorbed:
            steps.append(Step(_kernel(graph, node), node.inputs, node.name))
    return tuple(steps)


def _kernel(graph: Graph, node: Node) -> Kernel:
    match node:
        case Normalize():
            return pointwise.Normalize(_weight(graph, node), _bias(graph, node))
        case Conv2d():
            return _pointwise(graph, node) if _is_pointwise(node) else _dense(graph, node)
        case DepthwiseConv2d():
            return _depthwise(graph, node, None)
        case GlobalMean():
            return pointwise.GlobalMean(node.size)
        case Multiply():
            return pointwise.Multiply()
        case Add():
            return pointwise.Add()
        case Mean():
            return pointwise.Mean()
        case Linear():
            epilogue = Epilogue.make("none", _bias(graph, node))
            return pointwise.Pointwise(_weight(graph, node), epilogue, interleaved=True)


def _is_pointwise(node: Conv2d) -> bool:
    return (node.kernel, node.stride, node.padding) == (1, 1, 0)


def _pointwise(graph: Graph, node: Conv2d) -> pointwise.Pointwise:
    weight = _weight(graph, node).reshape(node.out_channels, -1)
    # Over a single position, scaling the result costs less than scaling the weights.
    single = node.size == 1
    if not single:
        weight = scaled(weight, node.activation)
    scale_first = single and node.activation == "hard_swish"
    epilogue = Epilogue.make(node.activation, _bias(graph, node), scale_first=scale_first)
    return pointwise.Pointwise(weight, epilogue, interleaved=single)


def _dense(graph: Graph, node: Conv2d) -> Dense:
    (rows, kept_rows), (columns, kept_columns) = (
        crop(node.size, kernel, node.stride, padding, node.out_size)
        for kernel, (padding, _) in zip(node.window, node.pads, strict=True)
    )
    weight = _weight(graph, node)[:, kept_rows, kept_columns].reshape(node.out_channels, -1)
    return Dense(rows, columns, scaled(weight, node.activation), Epilogue.make(node.activation, _bias(graph, node)))


def _depthwise(graph: Graph, node: DepthwiseConv2d, conv: Conv2d | None) -> Kernel:
    window, kept = crop(node.size, node.reach, node.stride, node.padding, node.out_size)
    weight = scaled(_spread(_weight(graph, node), node.dilation)[kept, kept], node.activation)
    epilogue = Epilogue.make(node.activation, _bias(graph, node))
    expansion = None
    if conv:
        matrix = _weight(graph, conv).reshape(conv.out_channels, -1)
        expansion = Expansion.make(matrix, _bias(graph, conv), conv.activation)
    if window.size < window.kernel:
        return PairwiseDepthwise.make(window, weight, epilogue, expansion)
    if window.size >= _planar_from(window, expansion is not None):
        return PlanarDepthwise.make(window, weight, epilogue, expansion)
    return InterleavedDepthwise.make(window, weight, epilogue, expansion)


def _spread(weight: Array, dilation: int) -> Array:
    """The kernel [k, k, C] with its taps `dilation` apart and zeros between: dilated layers are few, and cost more."""
    if dilation == 1:
        return weight
    reach = dilation * (len(weight) - 1) + 1
    spread = np.zeros((reach, reach, weight.shape[2]), np.float32)
    spread[::dilation, ::dilation] = weight
    return spread


def _planar_from(window: Window, expanded: bool) -> float:
    """The smallest map on which the planar kernel is faster, as measured with one image and with eight.

    It makes 2 k passes where the interleaved kernel makes k k, but copies row by row, which short rows do not repay. An
    expansion writes interleaved maps faster than planar ones, and a stride adds copies to the planar kernel.
    """
    if window.kernel <= 3:
        return math.inf if expanded else 32
    if window.stride > 1:
        return 32
    return 24 if window.kernel <= 5 else 16


def _weight(graph: Graph, node: Node) -> Array:
    return graph.weights[f"{node.name}.weight"]


def _bias(graph: Graph, node: Node) -> Array:
    if isinstance(node, Conv2d) and node.bias == "none":
        return np.zeros(node.out_channels, np.float32)
    return graph.weights[f"{node.name}.bias"]
