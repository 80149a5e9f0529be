"""What every engine checks: once that a graph is consistent, and on each call that the images fit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np

from eas_sdk.engine.arrays import Array
from eas_sdk.errors import ImageError, InputError
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Conv2d,
    DepthwiseConv2d,
    Graph,
    Linear,
    Node,
    Normalize,
)


def check_graph(graph: Graph) -> None:
    """Check names, order, shapes and weights of a graph.

    Raises:
        InputError: a name is taken twice, a tensor is read before it is made, a shape or a weight does not match its
            node, or the labels do not match the last node.
    """
    if not graph.nodes or not isinstance(graph.nodes[0], Normalize):
        raise InputError(f"a graph starts with Normalize, got {graph.nodes[:1]!r}")
    first = graph.nodes[0]
    shapes: dict[str, tuple[int, ...]] = {INPUT: (first.size, first.size, first.channels)}
    for node in graph.nodes:
        if node.name in shapes:
            raise InputError(f"the names of nodes must differ, got {node.name!r} twice")
        if INPUT in node.inputs and node is not first:
            raise InputError(f"only the first node reads {INPUT!r}, got {node.name!r}")
        expected = _input_shapes(node)
        if len(node.inputs) != len(expected):
            raise InputError(f"node {node.name!r} reads {len(expected)} tensors, got {node.inputs!r}")
        for name, shape in zip(node.inputs, expected, strict=True):
            if name not in shapes:
                raise InputError(f"a node reads tensors made before it; {node.name!r} reads {name!r}")
            if shapes[name] != shape:
                raise InputError(
                    f"node {node.name!r} takes H x W x C = {shape} from {name!r}, which is {shapes[name]}"
                )
        _check_sizes(node)
        for name, shape in weight_shapes(node):
            _check_weight(graph, name, shape)
        shapes[node.name] = output_shape(node)
    outputs = shapes[graph.nodes[-1].name][-1]
    if len(graph.labels) != outputs:
        raise InputError(f"a graph has one label per output, got {len(graph.labels)} labels for {outputs}")


def check_images(images: Array, size: int, channels: int = 3) -> None:
    """Check one batch of images, float32 N x size x size x channels in [0, 1].

    Raises:
        ImageError: another type, shape or dtype, or a value that is NaN or outside [0, 1].
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.float32:
        kind = getattr(images, "dtype", type(images).__name__)
        raise ImageError(f"images must be a float32 numpy array, got {kind}")
    if images.ndim != 4 or images.shape[1:] != (size, size, channels):
        raise ImageError(f"images must have the shape (N, {size}, {size}, {channels}), got {images.shape}")
    # NaN propagates through min and max, and compares false.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ImageError(f"images must lie in [0, 1], got values from {images.min()} to {images.max()}")


def check_threads(threads: int) -> None:
    """Check a number of threads.

    Raises:
        InputError: not an integer of at least 1.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads must be an integer of at least 1, got {threads!r}")


def weight_shapes(node: Node) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight that a node reads."""
    weight, bias = f"{node.name}.weight", f"{node.name}.bias"
    match node:
        case Normalize():
            yield from ((weight, (node.channels,)), (bias, (node.channels,)))
        case Conv2d():
            yield weight, (node.out_channels, node.kernel, node.kernel, node.in_channels)
            if node.has_bias:
                yield bias, (node.out_channels,)
        case DepthwiseConv2d():
            yield from ((weight, (node.kernel, node.kernel, node.channels)), (bias, (node.channels,)))
        case Linear():
            yield from ((weight, (node.out_features, node.in_features)), (bias, (node.out_features,)))
        case _:
            pass


def _input_shapes(node: Node) -> list[tuple[int, ...]]:
    """H x W x C of each tensor that a node reads, by its own account."""
    match node:
        case Linear():
            return [(1, 1, node.in_features)]
        case Conv2d():
            return [(node.size, node.size, node.in_channels)]
    shape = (node.size, node.size, node.channels)
    kind = type(node).__name__
    return {"Multiply": [shape, (1, 1, node.channels)], "Add": [shape, shape]}.get(kind, [shape])


def _check_sizes(node: Node) -> None:
    if isinstance(node, Conv2d | DepthwiseConv2d):
        if not (node.stride >= 1 and 0 <= node.padding < node.kernel and node.out_size >= 1):
            raise InputError(
                f"a convolution needs stride >= 1, 0 <= padding < kernel and a window that fits, got {node!r}"
            )
        if node.activation not in get_args(Activation):
            raise InputError(f"an activation is one of {get_args(Activation)}, got {node.activation!r}")
    if min(output_shape(node)) < 1:
        raise InputError(f"sizes and channels must be at least 1, got {node!r}")


def _check_weight(graph: Graph, name: str, shape: tuple[int, ...]) -> None:
    weight = graph.weights.get(name)
    if weight is None:
        raise InputError(f"the graph's weights must hold {name!r} with shape {shape}; it is missing")
    if weight.dtype != np.float32 or weight.shape != shape or not weight.flags.c_contiguous:
        order = "C-contiguous" if weight.flags.c_contiguous else "not C-contiguous"
        raise InputError(
            f"weight {name!r} must be C-contiguous float32 of shape {shape}, "
            f"got {order} {weight.dtype} of shape {weight.shape}"
        )
