"""From the nodes of a graph to the kernels that run it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from eas_sdk.engine import kernels
from eas_sdk.engine.epilogue import Epilogue, scaled
from eas_sdk.engine.expansion import Expansion
from eas_sdk.engine.interleaved import InterleavedDepthwise
from eas_sdk.engine.planar import PlanarDepthwise
from eas_sdk.engine.plan import Kernel, Step
from eas_sdk.engine.window import crop
from eas_sdk.graph.nodes import (
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Multiply,
    Node,
    Normalize,
)


def lower(graph: Graph) -> tuple[Step, ...]:
    """The steps of a checked graph. A 1x1 convolution that only a depthwise convolution reads becomes part of it."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    expansions: dict[str, Conv2d] = {}
    for node in graph.nodes:
        if isinstance(node, DepthwiseConv2d):
            source = next((n for n in graph.nodes if n.name == node.inputs[0]), None)
            if isinstance(source, Conv2d) and _is_pointwise(source) and readers[source.name] == 1:
                expansions[node.name] = source
    absorbed = {conv.name for conv in expansions.values()}
    steps = []
    for node in graph.nodes:
        if node.name in absorbed:
            continue
        if isinstance(node, DepthwiseConv2d) and node.name in expansions:
            conv = expansions[node.name]
            steps.append(Step(_depthwise(graph, node, conv), conv.inputs, node.name))
        else:
            steps.append(Step(_kernel(graph, node), node.inputs, node.name))
    return tuple(steps)


def _kernel(graph: Graph, node: Node) -> Kernel:
    weight, bias = graph.weights.get(f"{node.name}.weight"), graph.weights.get(f"{node.name}.bias")
    match node:
        case Normalize():
            assert weight is not None
            assert bias is not None
            return kernels.Normalize(weight, bias)
        case Conv2d():
            return _pointwise(graph, node) if _is_pointwise(node) else _dense(graph, node)
        case DepthwiseConv2d():
            return _depthwise(graph, node, None)
        case GlobalMean():
            return kernels.GlobalMean(node.size)
        case Multiply():
            return kernels.Multiply()
        case Add():
            return kernels.Add()
        case Linear():
            assert weight is not None
            assert bias is not None
            return kernels.Pointwise(weight, Epilogue.make("none", bias), interleaved=True)


def _is_pointwise(node: Conv2d) -> bool:
    return (node.kernel, node.stride, node.padding) == (1, 1, 0)


def _pointwise(graph: Graph, node: Conv2d) -> kernels.Pointwise:
    weight = graph.weights[f"{node.name}.weight"].reshape(node.out_channels, node.in_channels)
    # Over one position, scaling the result costs less than scaling the weights.
    single = node.size == 1
    if not single:
        weight = scaled(weight, node.activation)
    scale_first = single and node.activation == "hard_swish"
    epilogue = Epilogue.make(node.activation, _bias(graph, node), scale_first=scale_first)
    return kernels.Pointwise(weight, epilogue, interleaved=single)


def _dense(graph: Graph, node: Conv2d) -> kernels.Dense:
    window, kept = crop(node.size, node.kernel, node.stride, node.padding, node.out_size)
    weight = graph.weights[f"{node.name}.weight"][:, kept, kept].reshape(node.out_channels, -1)
    epilogue = Epilogue.make(node.activation, _bias(graph, node))
    return kernels.Dense(window, scaled(weight, node.activation), epilogue)


def _depthwise(graph: Graph, node: DepthwiseConv2d, expansion: Conv2d | None) -> Kernel:
    window, kept = crop(node.size, node.kernel, node.stride, node.padding, node.out_size)
    weight = scaled(graph.weights[f"{node.name}.weight"][kept, kept], node.activation)
    epilogue = Epilogue.make(node.activation, graph.weights[f"{node.name}.bias"])
    pointwise = None
    if expansion is not None:
        matrix = graph.weights[f"{expansion.name}.weight"].reshape(expansion.out_channels, -1)
        pointwise = Expansion.make(matrix, _bias(graph, expansion), expansion.activation)
    # Measured on one thread. From 24 x 24 on, the 2 k products of a plane beat its k k vector passes; for 3 x 3 they
    # are equal, and the interleaved kernel then saves time in the expansion, whose rows it writes whole.
    planar = window.size >= 24 and (window.kernel > 3 or window.stride > 1 or expansion is None)
    kernel = PlanarDepthwise if planar else InterleavedDepthwise
    return kernel.make(window, weight, epilogue, pointwise)


def _bias(graph: Graph, node: Conv2d) -> np.ndarray:
    return graph.weights[f"{node.name}.bias"] if node.has_bias else np.zeros(node.out_channels, np.float32)
