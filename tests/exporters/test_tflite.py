"""TFLite files: every precision against the numpy engine, one XNNPACK partition, and what other programs read."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import efficientnet_lite, make_graph, mobilenet, multibranch
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel

import eas_sdk
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.errors import ExportError, InputError
from eas_sdk.export import Options, proof_images
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Multiply,
    Node,
    Normalize,
    same_padding,
)
from eas_sdk.model import Model
from exporters.calibration import calibrate
from exporters.tflite.exporter import TFLiteExporter, file_parts
from exporters.tflite.interpreter import Interpreter
from exporters.tflite.lowering import lower

PRECISIONS = TFLiteExporter.precisions
ERROR = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.08, "int8": 0.2}
"""Greatest difference of logits from the numpy engine, as a part of the greatest logit."""


def options(precision: str = "float32", *, size: int = 64, **changes: object) -> Options:
    images = np.random.default_rng(1).integers(0, 256, (8, size, size, 3), np.uint8)
    made = Options(precision, "uint8", "logits", images, "a test", ("drawn by nobody",))
    return replace(made, **changes)


def content(graph: Graph, chosen: Options) -> bytes:
    return b"".join(file_parts({"serving_default": graph}, chosen))


def outputs(file: bytes, images: np.ndarray, signature: str | None = None) -> np.ndarray:
    return Interpreter(file, signature=signature).run(images)


def error(graph: Graph, chosen: Options) -> float:
    """Of the file's logits, as a part of the greatest."""
    batch = proof_images(chosen, graph.input_size)
    expected = NumpyEngine().compile(graph).run(batch)
    given = np.rint(batch * 255).astype(np.uint8) if chosen.input == "uint8" else batch
    return float(np.abs(outputs(content(graph, chosen), given) - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module")
def birds() -> list[Model]:
    """The smallest and the largest network of the embedded bundle, and one between them."""
    runtime = eas_sdk.load()
    low, high = runtime.budget_range("birds")
    return [runtime.specialize("birds", budget) for budget in (low, (low + high) // 2, high)]


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_computes_the_network(birds: list[Model], precision: str, pixels: str) -> None:
    for model in birds:
        assert error(model.graph, options(precision, input=pixels)) < ERROR[precision]


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


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [24, 33])
def test_branches_are_one_partition_too(precision: str, size: int, tmp_path: Path) -> None:
    graph, chosen = make_graph(multibranch(size)), options(precision, size=size)
    assert error(graph, chosen) < ERROR[precision]
    path = tmp_path / "network.tflite"
    path.write_bytes(content(graph, chosen))
    assert CompiledModel.from_file(str(path)).is_fully_accelerated()


def operators(file: bytes) -> list[str]:
    """The names of a file's operators, in order."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    return [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]


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


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_partition_takes_it_all(birds: list[Model], precision: str, tmp_path: Path) -> None:
    for pixels in ("uint8", "float32"):
        for output in ("logits", "probabilities"):
            chosen = options(precision, input=pixels, output=output)
            path = tmp_path / f"{pixels}-{output}.tflite"
            path.write_bytes(content(birds[1].graph, chosen))
            assert CompiledModel.from_file(str(path)).is_fully_accelerated(), (pixels, output)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_probabilities_are_the_softmax_of_the_logits(birds: list[Model], precision: str) -> None:
    pixels = options().calibration
    logits, probabilities = (
        outputs(content(birds[0].graph, options(precision, output=o)), pixels) for o in ("logits", "probabilities")
    )
    expected = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(probabilities, expected / expected.sum(1, keepdims=True), atol=1e-5)


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


def gated(reader: str) -> Graph:
    """A hard sigmoid whose product is read by a convolution, by nothing else, or by an addition too."""
    nodes = mobilenet(32, kernels=(3,), strides=(1,))
    (product,) = (n for n in nodes if isinstance(n, Multiply))
    nodes = nodes[: nodes.index(product) + 1]
    channels, side = product.channels, product.size
    if reader != "nothing":
        nodes.append(Conv2d("after", (product.name,), side, channels, channels, 1, 1, 0, "none"))
    if reader == "convolution and addition":
        nodes.append(Add("sum", ("after", product.name), side, channels))
    return make_graph(nodes)


@pytest.mark.parametrize("reader", ["convolution", "nothing", "convolution and addition"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_gate_is_not_six_times_too_large_whoever_reads_it(reader: str, precision: str) -> None:
    assert error(gated(reader), options(precision, size=32)) < ERROR[precision]


def test_a_channel_of_tiny_weights_keeps_its_bias_in_int8() -> None:
    """Its bias counts in input scale times weight scale, and would not fit 32 bits if that were tiny too."""
    graph = make_graph(mobilenet(32))
    weights = {name: array.copy() for name, array in graph.weights.items()}
    first = next(n for n in graph.nodes if isinstance(n, DepthwiseConv2d))
    weights[f"{first.name}.weight"][..., 0] = 1e-20
    weights[f"{first.name}.bias"][0] = 3.0
    assert error(Graph(graph.nodes, weights, graph.labels), options("int8", size=32)) < ERROR["int8"]


def test_a_weight_beyond_float16_is_refused() -> None:
    graph = make_graph(mobilenet(32))
    weights = dict(graph.weights) | {"stem.weight": graph.weights["stem.weight"] * 1e6}
    with pytest.raises(InputError, match=r"65504.*stem\.weight.*float32"):
        content(Graph(graph.nodes, weights, graph.labels), options("float16", size=32))


@pytest.mark.parametrize(
    ("precision", "most"), [("float32", 1.05), ("float16", 0.52), ("dynamic", 0.3), ("int8", 0.31)]
)
def test_files_are_as_small_as_their_weights(birds: list[Model], precision: str, most: float) -> None:
    graph = birds[-1].graph
    assert len(content(graph, options(precision))) < most * sum(w.nbytes for w in graph.weights.values())


def test_equal_networks_are_equal_files(birds: list[Model]) -> None:
    for precision in PRECISIONS:
        one, other = (content(birds[0].graph, options(precision)) for _ in range(2))
        assert one == other


def test_networks_in_one_file_share_the_weights_that_are_equal(birds: list[Model]) -> None:
    small, large = birds[0].graph, birds[-1].graph
    alone = [len(content(graph, options())) for graph in (small, large)]
    same = b"".join(file_parts({"a": large, "b": large}, options()))
    assert len(same) < 1.1 * alone[1]
    both = b"".join(file_parts({"small": small, "large": large}, options()))
    assert len(both) < sum(alone)
    pixels = options().calibration
    for name, graph in (("small", small), ("large", large)):
        expected = NumpyEngine().compile(graph).run(proof_images(options(), 64))
        np.testing.assert_allclose(outputs(both, pixels, name), expected, atol=1e-4 * np.abs(expected).max())


# What other programs read.


def test_the_file_follows_the_schema(birds: list[Model]) -> None:
    """Read by the schema's own generated code."""
    file = content(birds[1].graph, options("int8", output="probabilities"))
    model = schema.Model.GetRootAsModel(file, 0)
    assert schema.Model.ModelBufferHasIdentifier(file, 0)
    assert model.Version() == 3
    assert model.Buffers(0).DataLength() == 0
    for i in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(i)
        assert code.DeprecatedBuiltinCode() == min(code.BuiltinCode(), 127)
        assert code.Version() >= 1
    for i in range(1, model.BuffersLength()):
        buffer = model.Buffers(i)
        offset = buffer.DataAsNumpy().ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        assert offset % 16 == 0
    graph = model.Subgraphs(0)
    image = graph.Tensors(graph.Inputs(0))
    assert (image.Name(), image.Type()) == (b"image", schema.TensorType.UINT8)
    assert image.ShapeAsNumpy().tolist() == [1, 64, 64, 3]
    signature = model.SignatureDefs(0)
    assert signature.SignatureKey() == b"serving_default"
    assert [signature.Inputs(0).Name(), signature.Outputs(0).Name()] == [b"image", b"probabilities"]
    names = {model.Metadata(i).Name() for i in range(model.MetadataLength())}
    assert names == {b"min_runtime_version", b"TFLITE_METADATA"}


def test_int8_biases_count_in_input_scale_times_weight_scale(birds: list[Model]) -> None:
    """The runtime does not check it: a wrong one gives wrong results silently."""
    file = content(birds[1].graph, options("int8"))
    model = schema.Model.GetRootAsModel(file, 0)
    graph, checked = model.Subgraphs(0), 0
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        tensors = [graph.Tensors(j) for j in operator.InputsAsNumpy()]
        if len(tensors) == 3 and tensors[0].Type() == schema.TensorType.INT8:
            scales = [tensor.Quantization().ScaleAsNumpy() for tensor in tensors]
            np.testing.assert_allclose(scales[2], scales[0] * scales[1], rtol=1e-6)
            depthwise = tensors[1].Quantization().QuantizedDimension() == 3
            assert len(scales[1]) == tensors[1].ShapeAsNumpy()[3 if depthwise else 0]
            checked += 1
    assert checked > 20


def test_labels_are_a_file_in_a_zip_behind_the_model(birds: list[Model]) -> None:
    model = birds[0]
    with zipfile.ZipFile(io.BytesIO(content(model.graph, options()))) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines() == list(model.labels)


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_mediapipe_classifies_with_it(pixels: str, tmp_path: Path) -> None:
    """A client that knows nothing of this project: labels, normalisation and scores come from the file alone."""
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe Tasks is not installed: pip install mediapipe")
    from mediapipe.tasks import python as tasks

    model = eas_sdk.specialize("birds", "8M")
    path = tmp_path / "birds.tflite"
    model.export(path, input=pixels)
    base = tasks.BaseOptions(model_asset_path=str(path))
    chosen = tasks.vision.ImageClassifierOptions(base_options=base, max_results=2)
    shown = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    with tasks.vision.ImageClassifier.create_from_options(chosen) as classifier:
        for image, expected in zip(shown, model.predict(shown, top_k=2), strict=True):
            seen = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
            found = classifier.classify(seen).classifications[0].categories
            assert [c.category_name for c in found] == [label for label, _ in expected.top]
            assert [c.score for c in found] == pytest.approx([p for _, p in expected.top], abs=0.01)


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    TFLiteExporter().write({"main": make_graph(mobilenet(16))}, path, options(size=16))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ExportError, match="a complete model that LiteRT can run"):
        TFLiteExporter().run(path, "main", np.zeros((1, 16, 16, 3), np.float32), options(size=16))


def test_a_signature_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    TFLiteExporter().write({"main": make_graph(mobilenet(16))}, path, options(size=16))
    with pytest.raises(ExportError, match="other"):
        TFLiteExporter().run(path, "other", np.zeros((1, 16, 16, 3), np.float32), options(size=16))


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
