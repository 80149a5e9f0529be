"""Graphs with random weights for the tests of the engines, and what they must compute.

`reference` is written to be obviously correct: float64, np.pad, and a Python loop over the positions of each output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eas_sdk.engine.checks import weight_shapes
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
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
    same_padding,
)

TOLERANCE = 1e-5
"""Greatest `error` of a correct engine."""


def make_graph(nodes: Sequence[Node], seed: int = 0) -> Graph:
    """A graph with random weights that keep the scale of the activations, and biases that matter."""
    rng = np.random.default_rng(seed)
    weights = {}
    for node in nodes:
        for name, shape in weight_shapes(node).items():
            values = rng.standard_normal(shape)
            if name.endswith(".weight") and not isinstance(node, Normalize):
                fan_in = shape[0] * shape[1] if isinstance(node, DepthwiseConv2d) else np.prod(shape[1:])
                values *= np.sqrt(2 / fan_in)
            weights[name] = values.astype(np.float32)
    channels = output_shape(nodes[-1])[-1]
    return Graph(tuple(nodes), weights, tuple(f"class {i}" for i in range(channels)))


def images(size: int, count: int = 1, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Random images, float32 N x size x size x channels in [0, 1]."""
    return np.random.default_rng(seed).random((count, size, size, channels), np.float32)


def mobilenet(
    size: int,
    *,
    width: int = 8,
    kernels: Sequence[int] = (3, 5, 7, 5),
    strides: Sequence[int] = (2, 1, 2, 1),
    expansion: int = 3,
    classes: int = 5,
) -> list[Node]:
    """The nodes of a small MobileNetV3: stem, inverted residual blocks with all kinds of nodes, head."""
    nodes: list[Node] = [
        Normalize("normalize", (INPUT,), size, 3),
        Conv2d("stem", ("normalize",), size, 3, width, 3, 2, 1, "hard_swish"),
        DepthwiseConv2d("first", ("stem",), (size + 1) // 2, width, 3, 1, 1, "relu"),
        Add("first add", ("first", "stem"), (size + 1) // 2, width),
    ]
    source, side = "first add", (size + 1) // 2
    for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        activation: Activation = ("relu", "hard_swish")[i % 2]
        inner = width * expansion
        nodes.append(Conv2d(f"{i} expand", (source,), side, width, inner, 1, 1, 0, activation))
        nodes.append(
            DepthwiseConv2d(f"{i} depthwise", (f"{i} expand",), side, inner, kernel, stride, kernel // 2, activation)
        )
        before, out = f"{i} depthwise", (side - 1) // stride + 1
        if i % 3 != 2:
            nodes += [
                GlobalMean(f"{i} mean", (before,), out, inner),
                Conv2d(f"{i} squeeze", (f"{i} mean",), 1, inner, width, 1, 1, 0, "relu"),
                Conv2d(f"{i} excite", (f"{i} squeeze",), 1, width, inner, 1, 1, 0, "hard_sigmoid"),
                Multiply(f"{i} scale", (before, f"{i} excite"), out, inner),
            ]
            before = f"{i} scale"
        nodes.append(Conv2d(f"{i} project", (before,), out, inner, width, 1, 1, 0, "none"))
        if stride == 1:
            nodes.append(Add(f"{i} add", (f"{i} project", source), out, width))
        source, side = nodes[-1].name, out
    nodes += [
        Conv2d("head", (source,), side, width, 4 * width, 1, 1, 0, "hard_swish"),
        GlobalMean("pool", ("head",), side, 4 * width),
        Conv2d("feature", ("pool",), 1, 4 * width, 6 * width, 1, 1, 0, "hard_swish", bias="none"),
        Linear("classifier", ("feature",), 6 * width, classes),
    ]
    return nodes


def efficientnet_lite(
    size: int,
    *,
    stem: int = 8,
    units: Sequence[tuple[int, int, int, int, int]] = (
        (3, 1, 8, 1, 1),
        (3, 3, 8, 2, 2),
        (5, 3, 12, 1, 2),
        (5, 2, 12, 2, 1),
    ),
    head: int = 40,
    classes: int = 5,
) -> list[Node]:
    """The nodes of an EfficientNet-Lite: ReLU6, TensorFlow's padding "SAME", no squeeze-and-excitation.

    Args:
        units: kernel, expansion, width, number of blocks and stride of the first one, for each.
    """
    padding, trailing = same_padding(size, 3, 2)
    nodes: list[Node] = [
        Normalize("normalize", (INPUT,), size, 3),
        Conv2d("stem", ("normalize",), size, 3, stem, 3, 2, padding, "relu6", trailing=trailing),
    ]
    source, side, width = "stem", (size + 1) // 2, stem
    for u, (kernel, expansion, wide, blocks, first) in enumerate(units):
        for b in range(blocks):
            name, stride, inner, before = f"unit{u}.block{b}", first if b == 0 else 1, width * expansion, source
            if expansion > 1:
                nodes.append(Conv2d(f"{name}.expand", (source,), side, width, inner, 1, 1, 0, "relu6"))
                before = nodes[-1].name
            padding, trailing = same_padding(side, kernel, stride)
            depthwise = DepthwiseConv2d(
                f"{name}.depthwise", (before,), side, inner, kernel, stride, padding, "relu6", trailing=trailing
            )
            out = depthwise.out_size
            nodes += [depthwise, Conv2d(f"{name}.project", (depthwise.name,), out, inner, wide, 1, 1, 0, "none")]
            if stride == 1 and wide == width:
                nodes.append(Add(f"{name}.add", (nodes[-1].name, source), out, wide))
            source, side, width = nodes[-1].name, out, wide
    return [
        *nodes,
        Conv2d("head", (source,), side, width, head, 1, 1, 0, "relu6"),
        GlobalMean("pool", ("head",), side, head),
        Linear("classifier", ("pool",), head, classes),
    ]


def multibranch(size: int, *, width: int = 8, classes: int = 5) -> list[Node]:
    """The nodes of a small network of cells whose branches run side by side and are averaged: every kind of branch."""
    nodes: list[Node] = [
        Normalize("normalize", (INPUT,), size, 3),
        Conv2d("stem", ("normalize",), size, 3, width, 3, 2, 1, "relu"),
    ]
    side = nodes[-1].out_size
    cells: list[tuple[int, list[str]]] = [
        (1, ["dilated 2", "dilated 3", "5"]),
        (2, ["factorised 5", "9", "dilated 2", "factorised 7"]),
        (1, ["11", "factorised 7"]),
        (2, ["7"]),
        (1, ["3"]),
    ]
    source = "stem"
    for c, (stride, branches) in enumerate(cells):
        made = [source] if stride == 1 else []
        for branch in branches:
            nodes += _branch(f"cell{c}.{branch}", source, side, width, branch, stride)
            made.append(nodes[-1].name)
        side = (side - 1) // stride + 1
        source = made[0]
        if len(made) > 1:
            source = f"cell{c}.mean"
            nodes.append(Mean(source, tuple(made), side, width))
    nodes += [
        GlobalMean("pool", (source,), side, width),
        Linear("classifier", ("pool",), width, classes),
    ]
    return nodes


def _branch(name: str, source: str, size: int, width: int, kind: str, stride: int) -> list[Node]:
    inner = 2 * width
    made: list[Node] = [Conv2d(f"{name}.expand", (source,), size, width, inner, 1, 1, 0, "relu")]
    word, _, number = kind.rpartition(" ")
    if word == "factorised":
        kernel = int(number)
        across = Conv2d(
            f"{name}.across", (made[-1].name,), size, inner, inner, kernel, 1, kernel // 2, "relu", along="width"
        )
        down = Conv2d(
            f"{name}.down", (across.name,), size, inner, inner, kernel, stride, kernel // 2, "relu", along="height"
        )
        made += [across, down]
    else:
        kernel, dilation = (3, int(number)) if word == "dilated" else (int(number), 1)
        padding = dilation * (kernel - 1) // 2
        name_before = made[-1].name
        made.append(
            DepthwiseConv2d(
                f"{name}.depthwise", (name_before,), size, inner, kernel, stride, padding, "hard_swish", dilation
            )
        )
    size = made[-1].out_size
    return [*made, Conv2d(f"{name}.project", (made[-1].name,), size, inner, width, 1, 1, 0, "none")]


def reference(graph: Graph, batch: np.ndarray) -> np.ndarray:
    """What the graph must compute, in float64: N x classes, or N x H x W x C for a graph that ends in a map."""
    tensors = {INPUT: batch.astype(np.float64)}
    for node in graph.nodes:
        inputs = [tensors[name] for name in node.inputs]
        weight = graph.weights.get(f"{node.name}.weight", np.ones(1)).astype(np.float64)
        bias = graph.weights.get(f"{node.name}.bias", np.zeros(1)).astype(np.float64)
        match node:
            case Normalize():
                result = inputs[0] * weight + bias
            case Conv2d() | DepthwiseConv2d():
                result = _activation(_convolution(node, inputs[0], weight) + bias, node.activation)
            case GlobalMean():
                result = inputs[0].mean(axis=(1, 2), keepdims=True)
            case Multiply():
                result = inputs[0] * inputs[1]
            case Add():
                result = inputs[0] + inputs[1]
            case Mean():
                result = sum(inputs) / len(inputs)
            case Linear():
                result = inputs[0][:, 0, 0] @ weight.T + bias
        tensors[node.name] = result
    return tensors[graph.nodes[-1].name]


def torch_reference(graph: Graph, batch: np.ndarray) -> np.ndarray:
    """The same with torch.nn.functional, in float32."""
    import torch
    from torch.nn import functional

    activations = {
        "none": lambda x: x,
        "relu": functional.relu,
        "relu6": functional.relu6,
        "hard_swish": functional.hardswish,
        "hard_sigmoid": functional.hardsigmoid,
    }
    weights = {name: torch.from_numpy(weight) for name, weight in graph.weights.items()}
    tensors = {INPUT: torch.from_numpy(batch).permute(0, 3, 1, 2)}
    with torch.inference_mode():
        for node in graph.nodes:
            inputs = [tensors[name] for name in node.inputs]
            weight, bias = weights.get(f"{node.name}.weight"), weights.get(f"{node.name}.bias")
            match node:
                case Normalize():
                    result = inputs[0] * weight[:, None, None] + bias[:, None, None]
                case Conv2d():
                    kernel = weight.permute(0, 3, 1, 2)
                    result = functional.conv2d(functional.pad(inputs[0], _sides(node)), kernel, bias, node.stride)
                case DepthwiseConv2d():
                    kernel = weight.permute(2, 0, 1)[:, None]
                    result = functional.conv2d(
                        functional.pad(inputs[0], _sides(node)),
                        kernel,
                        bias,
                        node.stride,
                        dilation=node.dilation,
                        groups=node.channels,
                    )
                case GlobalMean():
                    result = inputs[0].mean((2, 3), keepdim=True)
                case Multiply():
                    result = inputs[0] * inputs[1]
                case Add():
                    result = inputs[0] + inputs[1]
                case Mean():
                    result = torch.stack(inputs).mean(0)
                case Linear():
                    result = functional.linear(inputs[0].flatten(1), weight, bias)
            tensors[node.name] = activations[getattr(node, "activation", "none")](result)
        final = tensors[graph.nodes[-1].name]
        return (final if final.ndim == 2 else final.permute(0, 2, 3, 1)).numpy()


def error(result: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected value or, where all of them cancel, to a tenth of the
    weights' and images' own scale."""
    assert result.shape == expected.shape
    assert result.dtype == np.float32
    return float(np.abs(result - expected).max() / max(np.abs(expected).max(), 0.1))


def _sides(node: Conv2d | DepthwiseConv2d) -> tuple[int, int, int, int]:
    """Zeros in the order of torch's `pad`: left, right, above, below."""
    rows, columns = node.pads
    return *columns, *rows


def _convolution(node: Conv2d | DepthwiseConv2d, batch: np.ndarray, weight: np.ndarray) -> np.ndarray:
    if isinstance(node, Conv2d):
        (height, width), step, channels = node.window, 1, node.out_channels
    else:
        height = width = node.reach
        step, channels = node.dilation, node.channels
    before = np.array([height > 1, width > 1]) * node.padding  # a kernel along one axis pads that axis alone
    padded = np.pad(batch, ((0, 0), *((zeros, zeros + node.trailing) for zeros in before), (0, 0)))
    result = np.empty((len(batch), node.out_size, node.out_size, channels))
    for row in range(node.out_size):
        for column in range(node.out_size):
            top, left = row * node.stride, column * node.stride
            patch = padded[:, top : top + height : step, left : left + width : step]
            if isinstance(node, Conv2d):
                result[:, row, column] = np.einsum("nyxi,oyxi->no", patch, weight)
            else:
                result[:, row, column] = (patch * weight).sum(axis=(1, 2))
    return result


def _activation(x: np.ndarray, activation: Activation) -> np.ndarray:
    hard_sigmoid = np.clip(x + 3, 0, 6) / 6
    return {
        "none": x,
        "relu": np.maximum(x, 0),
        "relu6": np.minimum(np.maximum(x, 0), 6),
        "hard_sigmoid": hard_sigmoid,
        "hard_swish": x * hard_sigmoid,
    }[activation]
