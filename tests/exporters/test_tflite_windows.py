"""TFLite files: padding, large kernels and what is fused behind them, as XNNPACK computes them fast."""

from __future__ import annotations

import numpy as np
import pytest
from engine.graphs import efficientnet_lite, make_graph, mobilenet
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel

from eas_exporters.calibration import calibrate
from eas_exporters.tflite.lowering import lower
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Node,
    Normalize,
    same_padding,
)
from tests.exporters.tflite_files import ERROR, PRECISIONS, content, error, operators, options


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [32, 33, 46, 56])
def test_tensorflow_s_padding_needs_no_operator(precision: str, size: int) -> None:
    graph = make_graph(efficientnet_lite(size))
    for pixels in ("uint8", "float32"):
        chosen = options(precision, size=size, input=pixels)
        assert error(graph, chosen) < ERROR[precision]
        file = content(graph, chosen)
        assert "PAD" not in operators(file)
        assert not {"RELU6", "MINIMUM", "HARD_SWISH"} & {*operators(file)}
        assert CompiledModel.from_buffer(file).is_fully_accelerated()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("dense", "depthwise")),
    st.integers(1, 3),
    st.sampled_from((1, 2, 3, 5, 7, 9)),
    st.integers(1, 2),
    st.integers(6, 20),
    st.integers(0, 5),
    st.integers(0, 3),
)
@example("depthwise", 2, 7, 1, 14, 2, 1)  # in parts, each with padding SAME
@example("depthwise", 2, 9, 1, 14, 3, 1)  # whole: the middle column alone would begin inside the map
@example("depthwise", 2, 9, 1, 14, 4, 2)
@example("depthwise", 2, 3, 2, 14, 1, 1)
@example("dense", 2, 5, 1, 14, 1, 1)
def test_every_window_is_padded_as_the_graph_says(
    kind: str, stride: int, kernel: int, dilation: int, size: int, padding: int, trailing: int
) -> None:
    dilation = dilation if kind == "depthwise" else 1
    reach = dilation * (kernel - 1) + 1
    padding = min(padding, reach - 1)
    trailing = min(trailing, reach - 1 - padding)
    layer: Node = Conv2d("d", ("c",), size, 4, 4, kernel, stride, padding, "relu6", trailing=trailing)
    if kind == "depthwise":
        layer = DepthwiseConv2d("d", ("c",), size, 4, kernel, stride, padding, "relu6", dilation, trailing)
    if layer.out_size < 1:
        return
    first = Conv2d("c", ("n",), size, 3, 4, 1, 1, 0, "none")
    graph = make_graph([Normalize("n", (INPUT,), size, 3), first, layer])
    assert error(graph, options(size=size)) < ERROR["float32"]
    same = same_padding(size, reach, stride) == (padding, trailing)
    assert ("PAD" in operators(content(graph, options(size=size)))) == (not same and padding + trailing > 0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("padding", [(1, 0), (0, 2)])
def test_other_paddings_are_one_partition_too(precision: str, padding: tuple[int, int]) -> None:
    before, trailing = padding
    nodes: list[Node] = [
        Normalize("n", (INPUT,), 16, 3),
        Conv2d("c", ("n",), 16, 3, 8, 3, 2, before, "relu6", trailing=trailing),
        DepthwiseConv2d("d", ("c",), 8, 8, 3, 2, before, "relu6", trailing=trailing),
        Conv2d("e", ("d",), 4, 8, 8, 3, 2, before, "relu6", trailing=trailing),
    ]
    nodes += [GlobalMean("m", ("e",), 2, 8), Linear("l", ("m",), 8, 4)]
    graph, chosen = make_graph(nodes), options(precision, size=16)
    assert error(graph, chosen) < ERROR[precision]
    file = content(graph, chosen)
    assert operators(file).count("PAD") == 3
    assert CompiledModel.from_buffer(file).is_fully_accelerated()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_beyond_six_is_cut(precision: str) -> None:
    nodes: list[Node] = [
        Normalize("n", (INPUT,), 16, 3),
        Conv2d("a", ("n",), 16, 3, 8, 3, 2, 0, "relu6", trailing=1),
        DepthwiseConv2d("b", ("a",), 8, 8, 3, 2, 0, "relu6", trailing=1),
        Conv2d("c", ("b",), 4, 8, 8, 1, 1, 0, "relu6"),
        GlobalMean("m", ("c",), 4, 8),
        Linear("l", ("m",), 8, 4),
    ]
    graph = make_graph(nodes)
    weights = {f"{name}.weight": graph.weights[f"{name}.weight"] * np.float32(8) for name in "abc"}
    graph = Graph(graph.nodes, {**graph.weights, **weights}, graph.labels)
    ranges = calibrate(graph, options(size=16).calibration)
    assert [ranges[name, False] for name in "abc"] == [(0, 6)] * 3
    assert error(graph, options(precision, size=16)) < ERROR[precision]


@settings(max_examples=15, deadline=None)
@given(
    st.integers(17, 40),
    st.lists(st.sampled_from((3, 5, 7)), min_size=4, max_size=4),
    st.lists(st.sampled_from((1, 2)), min_size=4, max_size=4),
)
def test_every_size_kernel_and_stride_is_padded_as_torch_pads(
    size: int, kernels: list[int], strides: list[int]
) -> None:
    graph = make_graph(mobilenet(size, kernels=kernels, strides=strides))
    assert error(graph, options(size=size)) < ERROR["float32"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7, 9, 11])
def test_no_depthwise_kernel_has_more_taps_than_xnnpack_is_fast_at(kernel: int, stride: int) -> None:
    graph = make_graph(mobilenet(33, kernels=(kernel,) * 2, strides=(stride, 1)))
    program = lower(graph, uint8_input=False, softmax=False)
    shapes = [program.tensors[o.inputs[1]].shape for o in program.operators if o.kind == "DEPTHWISE_CONV_2D"]
    assert max(height * width for _, height, width, _ in shapes) <= 25
    assert error(graph, options(size=33)) < ERROR["float32"]


@pytest.mark.parametrize("padding", [0, 2, 3, 4, 6, 8])
def test_a_large_kernel_may_have_any_padding(padding: int) -> None:
    nodes: list[Node] = [
        Normalize("n", (INPUT,), 17, 3),
        Conv2d("c", ("n",), 17, 3, 8, 3, 1, 1, "relu"),
        DepthwiseConv2d("d", ("c",), 17, 8, 9, 1, padding, "relu"),
    ]
    nodes += [GlobalMean("m", ("d",), nodes[-1].out_size, 8), Linear("l", ("m",), 8, 3)]
    assert error(make_graph(nodes), options(size=17)) < ERROR["float32"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("padding", "trailing"), [(2, 0), (3, 0), (2, 1)])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "hard_swish", "hard_sigmoid"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_large_depthwise_kernels_are_in_parts_that_xnnpack_is_fast_at(
    precision: str, activation: Activation, padding: int, trailing: int, stride: int
) -> None:
    size = 15 - trailing  # with a stride of 2, an even size has one zero more behind
    nodes: list[Node] = [
        Normalize("n", (INPUT,), size, 3),
        Conv2d("c", ("n",), size, 3, 8, 3, 1, 1, "relu"),
        DepthwiseConv2d("d", ("c",), size, 8, 7, stride, padding, activation, trailing=trailing),
    ]
    nodes += [GlobalMean("m", ("d",), nodes[-1].out_size, 8), Linear("l", ("m",), 8, 4)]  # type: ignore[union-attr]
    graph, chosen = make_graph(nodes), options(precision, size=size)
    assert error(graph, chosen) < ERROR[precision]
    read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content(graph, chosen))).subgraphs[0]
    options_type = schema.DepthwiseConv2DOptionsT
    depthwise = [o for o in read.operators if isinstance(o.builtinOptions, options_type)]
    taps = [int(np.prod(read.tensors[o.inputs[1]].shape[1:3])) for o in depthwise]
    assert sum(taps) == 49
    assert max(taps) <= 25
    assert CompiledModel.from_buffer(content(graph, chosen)).is_fully_accelerated()
