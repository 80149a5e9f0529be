"""TFLite files: every precision against the numpy engine, one XNNPACK partition, and what other programs read."""

from __future__ import annotations

import io
import itertools
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import make_graph, mobilenet, multibranch

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel

import eas_sdk
from eas_exporters.tflite.exporter import TFLiteExporter, file_parts
from eas_exporters.tflite.file import assemble
from eas_exporters.tflite.interpreter import Interpreter
from eas_exporters.tflite.lowering import lower
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.errors import ExportError, InputError
from eas_sdk.graph.nodes import (
    INPUT,
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
from eas_sdk.images import as_float_batch
from eas_sdk.model import Model
from tests.exporters.tflite_files import ERROR, PRECISIONS, content, error, options, outputs


@pytest.fixture(scope="module")
def birds() -> list[Model]:
    """The smallest and the largest network of the embedded bundle, and one between them."""
    runtime = eas_sdk.load("emoji")
    low, high = runtime.budget_range("birds")
    return [runtime.specialize("birds", budget) for budget in (low, (low + high) // 2, high)]


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_computes_the_network(birds: list[Model], precision: str, pixels: str) -> None:
    for model in birds:
        assert error(model.graph, options(precision, input=pixels)) < ERROR[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [24, 33])
def test_branches_are_one_partition_too(precision: str, size: int, tmp_path: Path) -> None:
    graph, chosen = make_graph(multibranch(size)), options(precision, size=size)
    assert error(graph, chosen) < ERROR[precision]
    path = tmp_path / "network.tflite"
    path.write_bytes(content(graph, chosen))
    assert CompiledModel.from_file(str(path)).is_fully_accelerated()


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
        expected = NumpyEngine().compile(graph).run(as_float_batch(pixels, 64))
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


@pytest.mark.parametrize("output", ["probabilities", "logits"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_tensor_has_a_name_of_its_own(birds: list[Model], precision: str, output: str) -> None:
    graphs = [*(model.graph for model in birds), make_graph(multibranch(24)), make_graph(named())]
    for graph in graphs:
        chosen = options(precision, output=output, size=graph.input_size)
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content(graph, chosen)))
        tensors = model.subgraphs[0].tensors
        names = [tensor.name for tensor in tensors]
        assert all(names)
        assert len(set(names)) == len(names)
        (inputs,), (outputs,) = model.signatureDefs[0].inputs, model.signatureDefs[0].outputs
        assert (inputs.name, outputs.name) == (b"image", output.encode())
        assert [names[inputs.tensorIndex], names[outputs.tensorIndex]] == [b"image", output.encode()]


def named() -> list[Node]:
    """Nodes whose names other tensors have or would like to have."""
    names = ["image_", "probabilities", "logits", "padding", "image.dequantize", "tensor", "a.weight", "a"]
    nodes: list[Node] = [Normalize(names[0], (INPUT,), 9, 3)]
    for before, name in itertools.pairwise(names):
        nodes.append(DepthwiseConv2d(name, (before,), 9, 3, 3, 1, 1, "hard_swish"))
    return [*nodes, GlobalMean("mean", ("a",), 9, 3), Linear("l", ("mean",), 3, 4)]


@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_the_metadata_say_what_the_output_is(birds: list[Model], output: str) -> None:
    file = content(birds[0].graph, options(output=output))
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file))
    (place,) = (m.buffer for m in model.metadata if m.name == b"TFLITE_METADATA")
    notes = bytes(model.buffers[place].data)
    assert output.encode() in notes
    assert {"probabilities": b"logit", "logits": b"probability"}[output] not in notes
    known = pytest.importorskip("mediapipe.tasks.metadata.metadata_schema_py_generated")
    read = known.ModelMetadataT.InitFromObj(known.ModelMetadata.GetRootAs(notes))
    (scores,) = read.subgraphMetadata[0].outputTensorMetadata
    assert scores.name == output.encode()
    assert (scores.stats and (list(scores.stats.min), list(scores.stats.max))) == (
        ([0.0], [1.0]) if output == "probabilities" else None
    )


def test_float16_layers_have_constants_of_one_kind(birds: list[Model]) -> None:
    """Runtimes before LiteRT 2.2 refuse float16 weights beside float32 biases, or take the network in pieces."""
    for graph in (birds[1].graph, make_graph(multibranch(24))):
        read = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content(graph, options("float16"))))
        tensors, operators = read.subgraphs[0].tensors, read.subgraphs[0].operators
        halves = {o.outputs[0] for o in operators if tensors[o.inputs[0]].type == schema.TensorType.FLOAT16}
        layers = [o for o in operators if len(o.inputs) == 3]
        kinds = [tuple(place in halves for place in layer.inputs[1:]) for layer in layers]
        assert kinds[0] == (False, False)  # the normalisation
        assert set(kinds[1:]) == {(True, True)}


def test_what_a_runtime_cannot_run_is_an_error_of_ours(birds: list[Model]) -> None:
    """It may find out only when it runs."""
    program = lower(birds[0].graph, uint8_input=False, softmax=False)
    at = next(i for i, tensor in enumerate(program.tensors) if tensor.name == "classifier.weight")
    weight = program.tensors[at]
    assert weight.data is not None
    program.tensors[at] = replace(weight, data=weight.data[:, :-1], shape=(weight.shape[0], weight.shape[1] - 1))
    file = b"".join(assemble({"main": program}, description="wrong"))
    with pytest.raises(ExportError, match="a complete model that LiteRT can run; this installation's says:"):
        Interpreter(file, signature="main").run(np.zeros((1, 64, 64, 3), np.float32))


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


def test_a_label_is_one_line(birds: list[Model]) -> None:
    labels = ("a\nb", "c\r\nd", "\n", "e\u2028f", " g ", *birds[0].labels[5:])
    graph = replace(birds[0].graph, labels=labels)
    with zipfile.ZipFile(io.BytesIO(content(graph, options()))) as archive:
        found = archive.read("labels.txt").decode().splitlines()
    assert found == ["a b", "c d", "-", "e f", "g", *labels[5:]]


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_mediapipe_classifies_with_it(pixels: str, tmp_path: Path) -> None:
    """A client that knows nothing of this project: labels, normalisation and scores come from the file alone."""
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe Tasks is not installed: pip install mediapipe")
    from mediapipe.tasks import python as tasks

    model = eas_sdk.load("emoji").specialize("birds", "8M")
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
