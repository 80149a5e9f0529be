"""Every tensor of a network, computed one node at a time: what calibration and the search for an error need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from eas_sdk.engine.checks import check_graph, check_images
from eas_sdk.engine.numpy_engine import buffer_size
from eas_sdk.engine.numpy_kernels.lowering import lower
from eas_sdk.engine.numpy_kernels.plan import Builder
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import INPUT, Activation, Add, Conv2d, DepthwiseConv2d, Graph, Mean, Multiply, Node


@dataclass(frozen=True, eq=False)
class Traced:
    """The result of one node for a batch of images.

    Attributes:
        node: the node.
        linear: [N, H, W, C], or [N, C] for a Linear: before its activation.
        output: of the same shape: after it.
    """

    node: Node
    linear: Array
    output: Array


def trace(graph: Graph, images: Array) -> Iterator[Traced]:
    """Run a graph node by node. Tensors are dropped once nothing reads them any more.

    Args:
        images: float32 [N, S, S, 3] in [0, 1].

    Raises:
        InputError: the graph contradicts itself or its weights.
        ImageError: the images do not fit the graph.
    """
    check_graph(graph)
    check_images(images, graph.input_shape)
    last_reader = {name: node.name for node in graph.nodes for name in node.inputs}
    made: dict[str, Array] = {INPUT: images}
    for node in graph.nodes:
        inputs = [made[name] for name in node.inputs]
        bare = replace(node, activation="none") if isinstance(node, Conv2d | DepthwiseConv2d) else node
        linear = _run(Graph((bare,), graph.weights, ()), inputs)
        output = activate(linear, getattr(node, "activation", "none"))
        yield Traced(node, linear, output)
        made[node.name] = output
        for name in [name for name in node.inputs if last_reader[name] == node.name]:
            made.pop(name, None)


def activate(x: Array, activation: Activation) -> Array:
    """An activation, element by element."""
    match activation:
        case "relu":
            positive: Array = np.maximum(x, np.float32(0))
            return positive
        case "relu6":
            clipped: Array = np.clip(x, np.float32(0), np.float32(6))
            return clipped
        case "hard_swish":
            return x * activate(x, "hard_sigmoid")
        case "hard_sigmoid":
            gate: Array = np.clip(x + np.float32(3), 0, 6) * np.float32(1 / 6)
            return gate
        case "none":
            return x


def _run(graph: Graph, inputs: list[Array]) -> Array:
    """The result of a graph of one node that reads feature maps [N, H, W, C]."""
    (node,) = graph.nodes
    match node:
        case Multiply():
            return inputs[0] * inputs[1]
        case Add():
            return inputs[0] + inputs[1]
        case Mean():
            mean: Array = sum(inputs[1:], inputs[0]) * np.float32(1 / len(inputs))
            return mean
        case _:
            pass
    count, size, _, channels = inputs[0].shape
    plan = Builder(count, lower(graph)).build(node.inputs[0], channels, size)
    np.copyto(plan.images, inputs[0].transpose(3, 0, 1, 2))
    with buffer_size():
        plan.run()
    return np.ascontiguousarray(plan.output.T).reshape(count, *output_shape(node))
