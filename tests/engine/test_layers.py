"""Every kind of node, of all shapes, against the reference and against torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

import numpy as np
import pytest
from engine.graphs import TOLERANCE, error, images, make_graph, reference, torch_reference
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eas_sdk.engine import load_engine
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Add,
    Axes,
    Bias,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Linear,
    Mean,
    Multiply,
    Node,
    Normalize,
    same_padding,
)

try:
    import torch  # noqa: F401
except ImportError:
    HAS_TORCH = False
else:
    HAS_TORCH = True

SIZES = st.integers(1, 12) | st.sampled_from((16, 24, 25, 32))  # where the choice of kernels changes
CHANNELS = st.integers(1, 20)
BATCHES = st.integers(1, 3)
ACTIVATIONS = st.sampled_from(get_args(Activation))
BIASES = st.sampled_from(get_args(Bias))
SEEDS = st.integers(0, 99)
some_examples = settings(max_examples=60)


class Window(NamedTuple):
    """A window that fits a map of `size`."""

    size: int
    kernel: int
    stride: int
    padding: int
    trailing: int = 0


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Windows with zeros on both sides, and as often with more of them behind the map."""
    kernel = draw(st.sampled_from((1, 2, 3, 5, 7)))
    padding = draw(st.integers(0, kernel - 1))
    trailing = draw(st.just(0) | st.integers(0, kernel - 1 - padding))
    size = draw(SIZES.filter(lambda size: size + 2 * padding + trailing >= kernel))
    return Window(size, kernel, draw(st.integers(1, 3)), padding, trailing)


def check(nodes: Sequence[Node], batch: int, seed: int) -> None:
    """Run the graph on `batch` random images and compare."""
    first = nodes[0]
    assert isinstance(first, Normalize)
    graph = make_graph(nodes, seed)
    inputs = images(first.size, batch, seed, first.channels)
    result = load_engine("numpy").compile(graph).run(inputs)
    assert error(result, reference(graph, inputs)) < TOLERANCE
    if HAS_TORCH:
        assert error(result, torch_reference(graph, inputs)) < TOLERANCE


def normalize(size: int, channels: int) -> Normalize:
    return Normalize("normalize", (INPUT,), size, channels)


@some_examples
@given(SIZES, CHANNELS, BATCHES, SEEDS)
def test_normalize(size: int, channels: int, batch: int, seed: int) -> None:
    check([normalize(size, channels)], batch, seed)


@some_examples
@given(windows(), CHANNELS, CHANNELS, ACTIVATIONS, BIASES, BATCHES, SEEDS)
@example(Window(224, 3, 2, 1), 3, 16, "hard_swish", "norm", 1, 0)  # more than one block
@example(Window(224, 3, 2, 0, 1), 3, 16, "relu6", "norm", 1, 0)
def test_dense_convolution(
    window: Window,
    channels: int,
    out: int,
    activation: Activation,
    bias: Bias,
    batch: int,
    seed: int,
) -> None:
    size, kernel, stride, padding, trailing = window
    conv = Conv2d(
        "conv",
        ("normalize",),
        size,
        channels,
        out,
        kernel,
        stride,
        padding,
        activation,
        bias=bias,
        trailing=trailing,
    )
    check([normalize(size, channels), conv], batch, seed)


@some_examples
@given(
    SIZES,
    st.sampled_from((1, 3, 5, 7)),
    st.integers(1, 3),
    st.sampled_from(("height", "width")),
    CHANNELS,
    ACTIVATIONS,
    BATCHES,
    SEEDS,
)
@example(2, 7, 1, "width", 3, "relu", 2, 0)  # taps that meet only padding
@example(130, 7, 2, "height", 9, "hard_swish", 1, 0)  # more than one block
def test_convolution_along_one_axis(
    size: int, kernel: int, stride: int, along: Axes, channels: int, activation: Activation, batch: int, seed: int
) -> None:
    conv = Conv2d("conv", ("normalize",), size, channels, 5, kernel, stride, kernel // 2, activation, along=along)
    check([normalize(size, channels), conv], batch, seed)


@some_examples
@given(SIZES, CHANNELS, CHANNELS, ACTIVATIONS, BIASES, BATCHES, SEEDS)
def test_pointwise_convolution(
    size: int, channels: int, out: int, activation: Activation, bias: Bias, batch: int, seed: int
) -> None:
    conv = Conv2d("conv", ("normalize",), size, channels, out, 1, 1, 0, activation, bias=bias)
    check([normalize(size, channels), conv], batch, seed)


@some_examples
@given(windows(), CHANNELS, ACTIVATIONS, BATCHES, SEEDS)
@example(Window(2, 5, 1, 2), 4, "relu", 2, 0)  # taps that meet only padding
@example(Window(2, 5, 2, 1, 2), 4, "relu6", 2, 0)
@example(Window(32, 7, 2, 3), 3, "hard_swish", 2, 0)
@example(Window(32, 7, 2, 2, 1), 3, "relu6", 2, 0)
@example(Window(60, 5, 1, 2), 40, "relu", 1, 0)  # more than one block of channels, a power of two across
@example(Window(60, 5, 2, 1, 1), 40, "relu6", 1, 0)
def test_depthwise_convolution(window: Window, channels: int, activation: Activation, batch: int, seed: int) -> None:
    size, kernel, stride, padding, trailing = window
    depthwise = DepthwiseConv2d(
        "depthwise", ("normalize",), size, channels, kernel, stride, padding, activation, trailing=trailing
    )
    check([normalize(size, channels), depthwise], batch, seed)


@some_examples
@given(
    SIZES,
    st.sampled_from((1, 2, 3, 5)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    CHANNELS,
    ACTIVATIONS,
    BATCHES,
    SEEDS,
)
@example(2, 3, 1, 3, False, 4, "relu", 2, 0)  # the kernel spans more than the map
@example(2, 3, 2, 3, True, 4, "relu6", 2, 0)
@example(33, 3, 2, 3, False, 40, "hard_swish", 2, 0)
@example(32, 3, 2, 3, True, 40, "relu6", 2, 0)
def test_dilated_depthwise_convolution(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    same: bool,
    channels: int,
    activation: Activation,
    batch: int,
    seed: int,
) -> None:
    reach = dilation * (kernel - 1) + 1
    padding, trailing = same_padding(size, reach, stride) if same else (reach // 2, 0)
    depthwise = DepthwiseConv2d(
        "depthwise", ("normalize",), size, channels, kernel, stride, padding, activation, dilation, trailing
    )
    if depthwise.out_size >= 1:
        check([normalize(size, channels), depthwise], batch, seed)


@some_examples
@given(windows(), CHANNELS, CHANNELS, ACTIVATIONS, ACTIVATIONS, BIASES, BATCHES, SEEDS)
@example(Window(33, 5, 2, 2), 3, 50, "hard_swish", "relu", "norm", 2, 0)
@example(Window(32, 5, 2, 1, 1), 3, 50, "relu6", "relu6", "norm", 2, 0)
@example(Window(56, 7, 1, 3), 8, 48, "relu", "none", "norm", 1, 0)
@example(Window(56, 3, 1, 1), 8, 48, "relu", "relu", "norm", 1, 0)
@example(Window(56, 3, 2, 0, 1), 8, 48, "relu6", "relu6", "norm", 1, 0)
def test_expansion_before_a_depthwise_convolution(
    window: Window,
    channels: int,
    inner: int,
    first: Activation,
    second: Activation,
    bias: Bias,
    batch: int,
    seed: int,
) -> None:
    size, kernel, stride, padding, trailing = window
    expand = Conv2d("expand", ("normalize",), size, channels, inner, 1, 1, 0, first, bias=bias)
    depthwise = DepthwiseConv2d(
        "depthwise", ("expand",), size, inner, kernel, stride, padding, second, trailing=trailing
    )
    check([normalize(size, channels), expand, depthwise], batch, seed)


@some_examples
@given(SIZES, CHANNELS, BATCHES, SEEDS)
def test_an_expansion_that_something_else_reads_too(size: int, channels: int, batch: int, seed: int) -> None:
    nodes = [
        normalize(size, 3),
        Conv2d("expand", ("normalize",), size, 3, channels, 1, 1, 0, "relu"),
        DepthwiseConv2d("depthwise", ("expand",), size, channels, 3, 1, 1, "none"),
        Add("add", ("expand", "depthwise"), size, channels),
    ]
    check(nodes, batch, seed)


@some_examples
@given(SIZES, CHANNELS, st.sampled_from((1, 3, 5, 7)), BATCHES, SEEDS)
def test_squeeze_and_excitation(size: int, channels: int, kernel: int, batch: int, seed: int) -> None:
    nodes = [
        normalize(size, 3),
        Conv2d("expand", ("normalize",), size, 3, channels, 1, 1, 0, "hard_swish"),
        DepthwiseConv2d("depthwise", ("expand",), size, channels, kernel, 1, kernel // 2, "relu"),
        GlobalMean("mean", ("depthwise",), size, channels),
        Conv2d("excite", ("mean",), 1, channels, channels, 1, 1, 0, "hard_sigmoid"),
        Multiply("scale", ("depthwise", "excite"), size, channels),
        Add("add", ("scale", "depthwise"), size, channels),  # the map is not the product's to overwrite
    ]
    check(nodes, batch, seed)


@some_examples
@given(SIZES, CHANNELS, BATCHES, SEEDS)
def test_a_tensor_added_to_itself(size: int, channels: int, batch: int, seed: int) -> None:
    check([normalize(size, channels), Add("add", ("normalize", "normalize"), size, channels)], batch, seed)


@some_examples
@given(SIZES, CHANNELS, st.integers(2, 5), BATCHES, SEEDS)
def test_mean_of_maps(size: int, channels: int, count: int, batch: int, seed: int) -> None:
    nodes: list[Node] = [normalize(size, channels)]
    nodes += [Conv2d(f"branch{i}", ("normalize",), size, channels, channels, 1, 1, 0, "relu") for i in range(count)]
    names = tuple(node.name for node in nodes)
    nodes.append(Mean("mean", names, size, channels))
    nodes.append(Mean("again", ("mean", *names[1:], "mean"), size, channels))  # the first is read after the others
    check(nodes, batch, seed)


@some_examples
@given(SIZES, CHANNELS, st.integers(1, 40), BATCHES, SEEDS)
def test_mean_and_classifier(size: int, channels: int, classes: int, batch: int, seed: int) -> None:
    nodes = [
        normalize(size, channels),
        GlobalMean("mean", ("normalize",), size, channels),
        Linear("classifier", ("mean",), channels, classes),
    ]
    check(nodes, batch, seed)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_activations_at_their_bends(activation: Activation) -> None:
    values = np.array([-100, -3.001, -3, -2.999, -1e-6, 0, 1e-6, 2.999, 3, 3.001, 5.999, 6, 6.001, 100], np.float32)
    nodes = [normalize(1, 1), Conv2d("conv", ("normalize",), 1, 1, len(values), 1, 1, 0, activation)]
    graph = make_graph(nodes)
    graph.weights["conv.weight"][:] = 0
    graph.weights["conv.bias"][:] = values
    inputs = images(1, channels=1)
    result = load_engine("numpy").compile(graph).run(inputs)
    np.testing.assert_allclose(result, reference(graph, inputs), rtol=1e-5, atol=2e-6)
