"""ONNX files: what they compute, what they say of themselves, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SPACE, random_bundle
from engine.graphs import efficientnet_lite, error, images, make_graph, mobilenet, multibranch, reference
from hypothesis import given, settings
from hypothesis import strategies as st

import eas_sdk
from eas_exporters.onnx.exporter import OnnxExporter, file_content
from eas_exporters.onnx.session import Session
from eas_sdk.cli.drawings import load_drawings
from eas_sdk.engine import load_engine
from eas_sdk.errors import ExportError, InputError, MissingDependency
from eas_sdk.export import InputKind, Options, OutputKind, export
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Node,
    Normalize,
)
from eas_sdk.model import Model
from eas_sdk.proof import IMAGES
from eas_sdk.space.elastic.backbones import PAPER

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

EXPORTER = OnnxExporter()
PRECISIONS = EXPORTER.precisions
ERRORS = {"float32": 1e-5, "float16": 1e-2, "int8": 0.3}
"""Greatest error by precision, as a part of the greatest value, for networks of random weights too."""


def options(
    precision: str = "float32",
    *,
    input: InputKind = "uint8",
    output: OutputKind = "logits",
    calibration: np.ndarray | None = None,
) -> Options:
    return Options(precision, input, output, calibration, "Ein Netz", ("Zeichnungen: Ü, CC BY 4.0", "second line"))


def pixels(size: int, count: int = 4, seed: int = 0) -> np.ndarray:
    """Smooth random images, uint8: bright and dark patches."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    places = np.arange(size) * 4 // size
    return coarse[:, places][:, :, places]


def real(batch: np.ndarray) -> np.ndarray:
    return batch.astype(np.float32) / np.float32(255)


def written(graph: Graph, folder: Path, chosen: Options) -> Path:
    path = folder / "network.onnx"
    EXPORTER.write({"main": graph}, path, chosen)
    return path


def computed(graph: Graph, folder: Path, chosen: Options, batch: np.ndarray) -> np.ndarray:
    return EXPORTER.run(written(graph, folder, chosen), "main", batch, chosen)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Networks of several tasks and sizes, with random weights."""
    runtime = eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))
    return [
        runtime.specialize(task, budget) for task, budget in (("birds", "0.6M"), ("insects", "1M"), ("tools", "2M"))
    ]


@pytest.fixture(scope="module")
def trained() -> Model:
    return eas_sdk.load("emoji").specialize("birds", "4M")


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    """Those of `trained`'s task, uint8."""
    pytest.importorskip("PIL")
    (found,) = load_drawings(eas_sdk.load("emoji"), None, ["birds"])
    return found.images


KERNELS = st.lists(st.sampled_from((3, 5, 7)), min_size=4, max_size=4)
STRIDES = st.lists(st.sampled_from((1, 2)), min_size=4, max_size=4)


@settings(max_examples=10)
@pytest.mark.parametrize("precision", PRECISIONS)
@given(st.integers(8, 40), st.integers(1, 12), KERNELS, STRIDES, st.integers(0, 99))
def test_random_networks(
    folder: Path, precision: str, size: int, width: int, kernels: list[int], strides: list[int], seed: int
) -> None:
    graph = make_graph(mobilenet(size, width=width, kernels=kernels, strides=strides), seed)
    batch = pixels(size, 4, seed)
    found = computed(graph, folder, options(precision, calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < ERRORS[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [24, 33])
def test_branches(folder: Path, precision: str, size: int) -> None:
    graph, batch = make_graph(multibranch(size)), pixels(size)
    found = computed(graph, folder, options(precision, calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < ERRORS[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [32, 33, 46])
def test_zeros_behind_the_map(folder: Path, precision: str, size: int) -> None:
    graph, batch = make_graph(efficientnet_lite(size)), pixels(size)
    found = computed(graph, folder, options(precision, calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < ERRORS[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("index", range(3))
def test_specialised_networks(models: list[Model], index: int, precision: str, tmp_path: Path) -> None:
    model, batch = models[index], pixels(models[index].input_size, 20)
    found = computed(model.graph, tmp_path, options(precision, calibration=batch), real(batch))
    assert error(found, model.reference(batch)) < ERRORS[precision]


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("float16", 5e-3), ("int8", 0.1)])
def test_a_trained_network_on_drawings(trained: Model, drawings: np.ndarray, precision: str, most: float) -> None:
    chosen, expected = options(precision, calibration=drawings), trained.reference(drawings)
    found = Session(file_content({"main": trained.graph}, chosen)).run(drawings)
    assert error(found, expected) < most
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("precision", PRECISIONS)
def test_export_proves_the_file(trained: Model, drawings: np.ndarray, precision: str, tmp_path: Path) -> None:
    path = tmp_path / "birds.onnx"
    made = trained.export(path, precision=precision, calibration=drawings)
    assert made.proof is not None
    assert made.proof.images == IMAGES
    assert (made.path, made.format, made.precision, made.bytes) == (path, "ONNX", precision, path.stat().st_size)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pixels_and_fractions_give_equal_answers(models: list[Model], precision: str, tmp_path: Path) -> None:
    graph, batch = models[0].graph, pixels(models[0].input_size)
    kinds: tuple[InputKind, ...] = ("uint8", "float32")
    found = [
        computed(graph, tmp_path, options(precision, input=kind, calibration=batch), real(batch)) for kind in kinds
    ]
    assert error(found[0], found[1]) < (1e-5 if precision != "int8" else 0.02)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_probabilities_are_the_softmax_of_the_logits(models: list[Model], precision: str, tmp_path: Path) -> None:
    graph, batch = models[0].graph, real(pixels(models[0].input_size))
    logits = computed(graph, tmp_path, options(precision, calibration=batch), batch)
    chosen = options(precision, output="probabilities", calibration=batch)
    probabilities = computed(graph, tmp_path, chosen, batch)
    np.testing.assert_allclose(probabilities, softmax(logits), atol=1e-6)


@pytest.mark.parametrize("output", ["probabilities", "logits"])
@pytest.mark.parametrize("input", ["uint8", "float32"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", [mobilenet, efficientnet_lite])
def test_files_pass_the_checker(
    network: Callable[[int], list[Node]], precision: str, input: InputKind, output: OutputKind
) -> None:
    graph = make_graph(network(16))
    chosen = options(precision, input=input, output=output, calibration=pixels(16))
    model = onnx.load_from_string(file_content({"main": graph}, chosen))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    (source,), (result,) = model.graph.input, model.graph.output
    assert (source.name, result.name) == ("image", output)
    assert source.type.tensor_type.elem_type == {"uint8": 2, "float32": 1}[input]
    assert [d.dim_param or d.dim_value for d in source.type.tensor_type.shape.dim] == ["N", 16, 16, 3]
    assert [d.dim_param or d.dim_value for d in result.type.tensor_type.shape.dim] == ["N", 5]
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    used = {name for node in model.graph.node for name in node.input}
    assert {constant.name for constant in model.graph.initializer} <= used
    assert {name for node in model.graph.node for name in node.output} - used == {output}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_equal_networks_are_equal_files(precision: str) -> None:
    chosen = options(precision, calibration=pixels(16))
    first, second, other = (file_content({"main": make_graph(mobilenet(16), seed)}, chosen) for seed in (0, 0, 1))
    assert first == second != other


def test_what_a_file_says_of_itself(models: list[Model], tmp_path: Path) -> None:
    graph = dataclasses.replace(models[0].graph, labels=("Kätzchen", 'a "b"', "c,\nd"))
    path = written(graph, tmp_path, options("float16", output="probabilities"))
    notes = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta()
    said = notes.custom_metadata_map
    assert json.loads(said["labels"]) == list(graph.labels)
    assert "Kätzchen" in said["labels"]
    assert said["labels.txt"].split("\n") == ["Kätzchen", 'a "b"', "c, d"]
    assert said["title"] == notes.graph_name == notes.description == "Ein Netz"
    assert said["attributions"] == "Zeichnungen: Ü, CC BY 4.0\nsecond line"
    assert said["precision"] == "float16"
    assert said["input"] == "RGB pixels of 0 to 255, N x H x W x 3"
    assert said["output"] == "probabilities of the labels, in their order, N x 3"
    assert notes.producer_name == "eas_sdk"


def test_sizes_of_the_paper() -> None:
    space = PAPER
    graph = make_graph(space.structure(space.smallest, 1000))
    calibration = pixels(224, 1)
    sizes = {p: len(file_content({"main": graph}, options(p, calibration=calibration))) for p in PRECISIONS}
    weights = sum(weight.nbytes for weight in graph.weights.values())
    assert weights < sizes["float32"] < 1.02 * weights
    assert sizes["float16"] <= 0.52 * sizes["float32"]
    assert sizes["int8"] <= 0.30 * sizes["float32"]


@pytest.mark.parametrize("network", [mobilenet, efficientnet_lite])
def test_every_int8_layer_reads_and_makes_integers(network: Callable[[int], list[Node]]) -> None:
    content = file_content({"main": make_graph(network(32))}, options("int8", calibration=pixels(32)))
    nodes = onnx.load_from_string(content).graph.node
    made = {node.output[0]: node.op_type for node in nodes}
    layers = [node for node in nodes if node.op_type == "Conv"]
    assert layers
    for layer in layers:
        assert {made[name] for name in layer.input} == {"DequantizeLinear"}
        assert [node.op_type for node in nodes if layer.output[0] in node.input] == ["QuantizeLinear"]


@pytest.mark.parametrize("network", [mobilenet, efficientnet_lite])
def test_onnxruntime_fuses_every_layer_of_int8(network: Callable[[int], list[Node]], tmp_path: Path) -> None:
    nodes = network(32)
    path = written(make_graph(nodes), tmp_path, options("int8", calibration=pixels(32)))
    chosen = onnxruntime.SessionOptions()
    chosen.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    chosen.log_severity_level = 3  # warns that what it writes is for this machine alone
    onnxruntime.InferenceSession(path, chosen, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == sum(isinstance(node, Conv2d | DepthwiseConv2d) for node in nodes)
    assert kinds["QLinearAdd"] == sum(isinstance(node, Add) for node in nodes)
    assert kinds["QGemm"] == 1
    assert not kinds.keys() & {"Conv", "Gemm", "Relu", "HardSigmoid", "HardSwish"}
    assert kinds["Clip"] == sum(getattr(node, "activation", "") == "hard_swish" for node in nodes)


def test_int8_is_what_it_is_in_any_session_on_any_processor(trained: Model, drawings: np.ndarray) -> None:
    """x86 without VNNI adds two products in 16 bits, and saturates silently unless a session asks it not to."""
    content = file_content({"main": trained.graph}, options("int8", calibration=drawings))
    exact = onnxruntime.SessionOptions()
    exact.add_session_config_entry("session.x64quantprecision", "1")
    found = [
        onnxruntime.InferenceSession(content, chosen, providers=["CPUExecutionProvider"]).run(None, {"image": drawings})
        for chosen in (onnxruntime.SessionOptions(), exact)
    ]
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("network", [mobilenet, efficientnet_lite])
def test_two_int8_weights_times_255_fit_16_bits(network: Callable[[int], list[Node]]) -> None:
    graph = onnx.load_from_string(
        file_content({"main": make_graph(network(32))}, options("int8", calibration=pixels(32)))
    ).graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    stored = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    for layer in layers:
        weight = np.abs(constants[stored[layer.input[1]]].astype(int))
        largest = np.sort(weight.reshape(len(weight), -1), 1)[:, -2:]
        assert largest.sum(1).max() <= 128
        assert largest.sum(1).min() >= 126


def test_every_reader_knows_all_operators_of_a_file() -> None:
    """NNAPI, Core ML and OpenCV lack hard sigmoid and hard swish, or have them wrong."""
    for precision in PRECISIONS:
        content = file_content({"main": make_graph(mobilenet(32))}, options(precision, calibration=pixels(32)))
        kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
        assert not kinds & {"HardSigmoid", "HardSwish"}


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("input", ["uint8", "float32"])
def test_a_fixed_batch_and_planes(
    trained: Model, drawings: np.ndarray, precision: str, input: InputKind, tmp_path: Path
) -> None:
    expected = trained.export(tmp_path / "a.onnx", precision=precision, input=input, output="logits")
    path = tmp_path / "b.onnx"
    made = trained.export(path, precision=precision, input=input, output="logits", layout="NCHW", batch=3)
    assert made.proof == expected.proof
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [3, 3, 64, 64]
    assert session.get_outputs()[0].shape == [3, len(trained.labels)]
    assert session.get_modelmeta().custom_metadata_map["input"].endswith("N x 3 x H x W")
    given = drawings[:3] if input == "uint8" else real(drawings[:3])
    found = session.run(None, {"image": given.transpose(0, 3, 1, 2)})[0]
    (reference,) = (Session((tmp_path / "a.onnx").read_bytes()).run(given),)
    np.testing.assert_allclose(found, reference, atol=1e-4)


@pytest.mark.parametrize(
    ("suffix", "changes", "message"),
    [
        (".onnx", {"batch": 0}, "batch of a ONNX file is a positive integer; got 0"),
        (".onnx", {"batch": 1.0}, "positive integer; got 1.0"),
        (".onnx", {"layout": "NWHC"}, "layout of a ONNX file is one of .*NCHW.*'NWHC'"),
        (".tflite", {"layout": "NCHW"}, "layout of a TFLite file is one of"),
        (".tflite", {"batch": 2}, "positive integer, 1 at most; got 2"),
    ],
)
def test_other_batches_and_layouts_are_refused(
    trained: Model, suffix: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        trained.export(tmp_path / f"a{suffix}", **changes)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_opencv_computes_the_file(trained: Model, drawings: np.ndarray, precision: str, tmp_path: Path) -> None:
    """A reader that fuses what stands behind a convolution."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    path = tmp_path / "a.onnx"
    trained.export(path, precision=precision, input="float32", output="logits", layout="NCHW", batch=1)
    network = cv2.dnn.readNetFromONNX(str(path))
    expected = trained.reference(drawings)
    for image, wanted in zip(real(drawings), expected, strict=True):
        network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[np.newaxis]))
        assert error(network.forward()[0], wanted) < ERRORS[precision]


def _layers(activation: Activation, *, kernel: int = 1, bias: Sequence[float], factor: float = 1.0) -> Graph:
    """Normalize, one convolution of three channels, and what makes logits of it."""
    nodes: list[Node] = [
        Normalize("normalize", (INPUT,), 8, 3),
        Conv2d("layer", ("normalize",), 8, 3, 3, kernel, 1, kernel // 2, activation),
        GlobalMean("mean", ("layer",), 8, 3),
        Linear("linear", ("mean",), 3, 3),
    ]
    graph = make_graph(nodes)
    weights = dict(graph.weights)
    weights["normalize.weight"] = np.full(3, 4, np.float32)
    weights["normalize.bias"] = np.full(3, -2, np.float32)
    weights["layer.weight"] = weights["layer.weight"] * np.float32(factor)
    weights["layer.bias"] = np.array(bias, np.float32)
    weights["linear.weight"] = np.eye(3, dtype=np.float32)
    weights["linear.bias"] = np.zeros(3, np.float32)
    return dataclasses.replace(graph, weights=weights)


@pytest.mark.parametrize("activation", ["hard_swish", "hard_sigmoid"])
def test_int8_spends_no_values_on_what_an_activation_cuts(activation: Activation, tmp_path: Path) -> None:
    graph, batch = _layers(activation, bias=(0, 0.5, -1000)), pixels(8, 8)
    found = computed(graph, tmp_path, options("int8", calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < 0.03


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("factor", [0.3, 1, 4])
def test_a_relu6_is_cut_at_six(factor: float, precision: str, tmp_path: Path) -> None:
    graph, batch = _layers("relu6", bias=(-4, 0.5, 4), factor=factor), pixels(8, 8)
    found = computed(graph, tmp_path, options(precision, calibration=batch), real(batch))
    most = 0.02 if precision == "int8" else ERRORS[precision]
    assert error(found, reference(graph, real(batch))) < most


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_int8_of_dead_channels(activation: Activation, tmp_path: Path) -> None:
    graph, batch = _layers(activation, bias=(1, 2, 3), factor=0), pixels(8, 8)
    found = computed(graph, tmp_path, options("int8", calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < 0.01


def test_int8_of_a_network_that_is_zero_everywhere(tmp_path: Path) -> None:
    graph, batch = _layers("relu", bias=(-9, -9, -9), factor=0), pixels(8, 8)
    found = computed(graph, tmp_path, options("int8", calibration=batch), real(batch))
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_that_ends_in_a_map(precision: str, tmp_path: Path) -> None:
    graph, batch = make_graph(mobilenet(16)[:9]), pixels(16)
    found = computed(graph, tmp_path, options(precision, calibration=batch), real(batch))
    expected = reference(graph, real(batch))
    assert expected.ndim == 4
    assert error(found, expected) < ERRORS[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nodes_may_have_any_names(precision: str, tmp_path: Path) -> None:
    names = ["a", "logits", "a.weight", "a.float", "a.uint8", "a.scale", "zero.0x1", "b.linear", "b", ""]
    nodes: list[Node] = [
        Normalize(names[0], (INPUT,), 8, 3),
        *(
            DepthwiseConv2d(names[i], (names[i - 1],), 8, 3, 3, 1, 1, "relu" if i % 2 else "hard_swish")
            for i in range(1, len(names))
        ),
        GlobalMean("probabilities", (names[-1],), 8, 3),
        Linear("layer", ("probabilities",), 3, 4),
    ]
    graph, batch = make_graph(nodes), pixels(8)
    found = computed(graph, tmp_path, options(precision, calibration=batch), real(batch))
    assert error(found, reference(graph, real(batch))) < ERRORS[precision]


def test_two_networks_are_refused(models: list[Model], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds one network; got 2 \(low, high\).*\.tflite"):
        export({"low": models[0], "high": models[0]}, tmp_path / "two.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["dynamic", "int4", ""])
def test_other_precisions_are_refused(models: list[Model], precision: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"precision of a ONNX file is one of .*float16"):
        models[0].export(tmp_path / "network.onnx", precision=precision)
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    graph = _layers("none", bias=(0, 0, 0), factor=1e6)
    with pytest.raises(InputError, match=r"float16 weights lie within ±65504; 'layer.weight' has"):
        written(graph, tmp_path, options("float16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused(kept: float, tmp_path: Path) -> None:
    graph, chosen = make_graph(mobilenet(16)), options()
    path = written(graph, tmp_path, chosen)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ExportError, match="a complete model that onnxruntime can run"):
        EXPORTER.run(path, "main", images(16), chosen)


def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    path = written(make_graph(mobilenet(16)), tmp_path, options())
    model = onnx.load(path)
    model.graph.initializer[-2].dims[1] += 1  # the weights of the last layer; the number of their values stays
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match="a complete model that onnxruntime can run"):
        EXPORTER.run(path, "main", images(16), options())


def _without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a package impossible to import."""
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)


def test_writing_without_onnx(models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without("onnx", monkeypatch)
    with pytest.raises(
        MissingDependency,
        match=r"writing an .onnx file needs onnx, .* pip install 'elastic-architecture-search\[onnx\]'",
    ):
        models[0].export(tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_writing_without_onnxruntime(models: list[Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without("onnxruntime", monkeypatch)
    made = models[0].export(tmp_path / "network.onnx")
    assert made.proof is None
    assert "needs onnxruntime" in made.unproved
    assert "pip install 'elastic-architecture-search[onnx]'" in made.unproved
    assert made.path.exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_the_engine_without_a_package(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(package, monkeypatch)
    with pytest.raises(
        MissingDependency, match=rf"needs {package}, .* pip install 'elastic-architecture-search\[onnx\]'"
    ):
        load_engine("onnxruntime")


def test_a_model_on_the_engine(models: list[Model]) -> None:
    model = dataclasses.replace(models[0], program=load_engine("onnxruntime").compile(models[0].graph))
    batch = pixels(SPACE.input_sizes[-1], 8)
    np.testing.assert_allclose(model.logits(batch), models[0].logits(batch), atol=1e-4)
    assert [p.label for p in model.predict(batch)] == [p.label for p in models[0].predict(batch)]
