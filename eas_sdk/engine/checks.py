"""What every engine checks: once that a graph is consistent, and on each call that the images fit it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import BundleError, ImageError, InputError
from eas_sdk.graph.cost import input_shapes, output_shape
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Axes,
    Conv2d,
    DepthwiseConv2d,
    Graph,
    Linear,
    Mean,
    Node,
    Normalize,
)


def check_graph(graph: Graph) -> None:
    """Check names, order, shapes and weights of a graph.

    Raises:
        InputError: a name is taken twice, a tensor is read before it is made, a shape or a weight does not match its
            node, or the number of labels is not the last node's number of channels.
    """
    first = graph.nodes[0] if graph.nodes else None
    if not isinstance(first, Normalize):
        raise InputError(f"a graph starts with Normalize, got {first!r}")
    shapes: dict[str, tuple[int, ...]] = {INPUT: (first.size, first.size, first.channels)}
    for node in graph.nodes:
        if node.name in shapes:
            raise InputError(f"the names of a graph's tensors must differ, got {node.name!r} twice")
        if (INPUT in node.inputs) != (node is first):
            raise InputError(f"the first node, and no other, reads {INPUT!r}; {node.name!r} reads {node.inputs!r}")
        _check_sizes(node)
        expected = input_shapes(node)
        if len(node.inputs) != len(expected):
            raise InputError(f"node {node.name!r} must read {len(expected)} tensors, got {node.inputs!r}")
        for name, shape in zip(node.inputs, expected, strict=True):
            if name not in shapes:
                raise InputError(f"a node reads tensors made before it, got {node.name!r} reading {name!r}")
            if shapes[name] != shape:
                raise InputError(f"node {node.name!r} must read H x W x C = {shape}, got {shapes[name]} from {name!r}")
        for name, shape in weight_shapes(node).items():
            _check_weight(graph, name, shape)
        shapes[node.name] = output_shape(node)
    channels = shapes[graph.nodes[-1].name][-1]
    if len(graph.labels) != channels:
        raise InputError(f"a graph has one label per output channel ({channels}), got {len(graph.labels)} labels")


def check_images(images: object, shape: tuple[int, int, int]) -> None:
    """Check one batch of images of a shape H x W x C.

    Raises:
        ImageError: not a float32 array N x H x W x C, or a value that is NaN or outside [0, 1].
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.float32:
        kind = getattr(images, "dtype", type(images).__name__)
        raise ImageError(f"images must be a float32 numpy array, got {kind}")
    if images.ndim != 4 or images.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ImageError(f"images must have the shape (N, {wanted}), got {images.shape}")
    if images.size:
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 1):  # NaN spreads to both and compares false
            raise ImageError(f"images must lie in [0, 1], got values from {low} to {high}")


def check_answers(logits: npt.NDArray[np.floating]) -> None:
    """Check logits [N, labels].

    Raises:
        BundleError: one is not finite.
    """
    good = np.isfinite(logits).all(1)
    if not good.all():
        raise BundleError(
            f"a network's answers are finite; those for {np.count_nonzero(~good)} of {len(good)} images are not: the "
            "weights of its bundle overflow"
        )


def check_threads(threads: object) -> None:
    """Check a number of threads.

    Raises:
        InputError: not an integer of at least 1.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads must be an integer of at least 1, got {threads!r}")


def weight_shapes(node: Node) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight that a node reads."""
    weight, bias = f"{node.name}.weight", f"{node.name}.bias"
    match node:
        case Normalize():
            return {weight: (node.channels,), bias: (node.channels,)}
        case Conv2d():
            shape = (node.out_channels, *node.window, node.in_channels)
            return {weight: shape, bias: (node.out_channels,)} if node.bias != "none" else {weight: shape}
        case DepthwiseConv2d():
            return {weight: (node.kernel, node.kernel, node.channels), bias: (node.channels,)}
        case Linear():
            return {weight: (node.out_features, node.in_features), bias: (node.out_features,)}
        case _:
            return {}


def _check_sizes(node: Node) -> None:
    if isinstance(node, Conv2d | DepthwiseConv2d):
        reach = node.reach if isinstance(node, DepthwiseConv2d) else node.kernel
        if not _is_count(node.trailing):
            raise InputError(f"trailing zeros are an integer of at least 0, got {node.trailing!r} in {node!r}")
        padded = node.padding >= 0 and node.padding + node.trailing < reach
        if not (node.stride >= 1 and reach >= node.kernel and padded and node.out_size >= 1):
            raise InputError(
                "a convolution needs stride >= 1, dilation >= 1, padding >= 0, padding + trailing < what the kernel "
                f"spans, and a window that fits, got {node!r}"
            )
        if isinstance(node, Conv2d) and node.along not in get_args(Axes):
            raise InputError(f"a kernel extends along one of {get_args(Axes)}, got {node.along!r}")
        halves = 2 * node.padding + 1 == node.kernel and not node.trailing
        if isinstance(node, Conv2d) and node.along != "both" and not halves:
            raise InputError(
                f"a kernel along one axis is odd and pads half of its length before and behind, got {node!r}"
            )
        if node.activation not in get_args(Activation):
            raise InputError(f"an activation must be one of {get_args(Activation)}, got {node.activation!r}")
    if isinstance(node, Mean) and len(node.inputs) < 2:
        raise InputError(f"a mean is taken over two maps or more, got {node!r}")
    if min(*output_shape(node), *(side for shape in input_shapes(node) for side in shape)) < 1:
        raise InputError(f"sizes and channels must be at least 1, got {node!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_weight(graph: Graph, name: str, shape: tuple[int, ...]) -> None:
    weight = graph.weights.get(name)
    if weight is None:
        raise InputError(f"the weights of a graph must hold {name!r} of shape {shape}, got none")
    if weight.dtype != np.float32 or weight.shape != shape or not weight.flags.c_contiguous:
        order = "C-contiguous" if weight.flags.c_contiguous else "not C-contiguous"
        raise InputError(
            f"weight {name!r} must be C-contiguous float32 of shape {shape}, "
            f"got {order} {weight.dtype} of shape {weight.shape}"
        )
