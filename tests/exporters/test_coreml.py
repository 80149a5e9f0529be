"""Core ML packages: what they compute (evaluated without Core ML), what they say of themselves, what they share."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import efficientnet_lite, error, make_graph, mobilenet, multibranch, reference

import eas_sdk
from eas_exporters.coreml.exporter import CoreMLExporter
from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.package import MANIFEST, MODEL, Sharing, sharing
from eas_sdk.engine import load_engine
from eas_sdk.errors import InputError, MissingDependency
from eas_sdk.export import InputKind, Options, OutputKind
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, GlobalMean, Graph, Linear, Node, Normalize
from eas_sdk.model import Model
from tests.exporters import mil_evaluator

installed = pytest.mark.skipif(importlib.util.find_spec("coremltools") is None, reason="coremltools is not installed")
elsewhere = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has Core ML")

EXPORTER = CoreMLExporter()
PRECISIONS = EXPORTER.precisions
ERRORS = {"float32": 1e-5, "float16": 5e-3, "int8": 0.03, "palettized": 0.06}
"""Greatest error by precision, as a part of the greatest value; twice what was measured."""


def options(precision: str = "float32", *, input: InputKind = "uint8", output: OutputKind = "logits") -> Options:
    return Options(precision, input, output, None, "Ein Netz", ("Zeichnungen: Ü, CC BY 4.0", "second line"))


def pixels(size: int, count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def real(batch: np.ndarray) -> np.ndarray:
    return batch.astype(np.float32) / np.float32(255)


def chain() -> list[Node]:
    """What mobilenet() does not have: uneven steps, no padding, much padding, more input than output."""
    return [
        Normalize("logits", (INPUT,), 23, 3),  # names that the program needs for its outputs
        Conv2d("classLabel", ("logits",), 23, 3, 8, 4, 3, 0, "relu"),
        DepthwiseConv2d("a b", ("classLabel",), 7, 8, 3, 1, 2, "none"),
        Conv2d("a_b", ("a b",), 9, 8, 6, 3, 2, 2, "hard_sigmoid"),
        DepthwiseConv2d("classLabel_probs", ("a_b",), 6, 6, 2, 1, 0, "hard_swish"),
        Add("sum", ("classLabel_probs", "classLabel_probs"), 5, 6),
        GlobalMean("mean", ("sum",), 5, 6),
        Conv2d("g", ("mean",), 1, 6, 4, 1, 1, 0, "hard_swish", bias="none"),
        Linear("probabilities", ("g",), 4, 3),
    ]


GRAPHS = {
    "small": make_graph(mobilenet(32, kernels=(3, 5, 7, 5))),
    "large weights": make_graph(mobilenet(21, width=36, expansion=6, strides=(2, 2, 1, 2), classes=7)),
    "chain": make_graph(chain()),
    "branches": make_graph(multibranch(33)),
    "zeros behind": make_graph(efficientnet_lite(32)),
    "zeros behind, odd": make_graph(efficientnet_lite(33)),
}


def written(networks: Graph | Mapping[str, Graph], folder: Path, chosen: Options) -> Path:
    path = folder / "network.mlpackage"
    EXPORTER.write({"first": networks} if isinstance(networks, Graph) else networks, path, chosen)
    return path


def computed(package: Path, batch: np.ndarray, function: str = "main") -> np.ndarray:
    """The output for uint8 images, whatever the package takes."""
    spec, program = mil_evaluator.load(package)
    description = next((f for f in spec.description.functions if f.name == function), spec.description)
    image = description.input[0].type.WhichOneof("Type") == "imageType"
    given = batch.transpose(0, 3, 1, 2) if image else real(batch)
    (output,) = mil_evaluator.run(program, given, function).values()
    return output


def probabilities(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def contents(package: Path) -> dict[str, bytes]:
    return {str(f.relative_to(package)): f.read_bytes() for f in package.rglob("*") if f.is_file()}


@installed
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_package_computes_what_the_graph_says(tmp_path: Path, name: str, precision: str) -> None:
    graph = GRAPHS[name]
    batch = pixels(graph.input_size)
    output = computed(written(graph, tmp_path, options(precision)), batch)
    assert error(output, reference(graph, real(batch))) < ERRORS[precision]


@installed
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_trained_network_keeps_its_answers(
    model: Model, drawings: np.ndarray, tmp_path: Path, precision: str
) -> None:
    package = written(model.graph, tmp_path, options(precision))
    output = computed(package, drawings)
    expected = model.reference(drawings)
    assert error(output, expected) < ERRORS[precision]
    assert np.abs(probabilities(output) - probabilities(expected)).max() < ERRORS[precision]
    size = sum(map(len, contents(package).values())) / sum(w.nbytes for w in model.graph.weights.values())
    assert size < {"float32": 1.06, "float16": 0.56, "int8": 0.34, "palettized": 0.3}[precision]


@installed
def test_the_float_input_is_channels_last_and_between_0_and_1(tmp_path: Path) -> None:
    graph = GRAPHS["small"]
    package = written(graph, tmp_path, options(input="float32"))
    spec, _ = mil_evaluator.load(package)
    array = spec.description.input[0].type.multiArrayType
    assert list(array.shape) == [1, 32, 32, 3]
    assert error(computed(package, pixels(32)), reference(graph, real(pixels(32)))) < 1e-5


@installed
@pytest.mark.parametrize(("name", "precision"), [("small", "float16"), ("chain", "float32"), ("chain", "float16")])
def test_a_classifier_takes_an_image_and_names_what_it_sees(tmp_path: Path, name: str, precision: str) -> None:
    graph = GRAPHS[name]
    side = graph.input_size
    package = written(graph, tmp_path, options(precision, output="probabilities"))
    spec, program = mil_evaluator.load(package)
    image = spec.description.input[0].type.imageType
    assert (spec.description.input[0].name, image.width, image.height) == ("image", side, side)
    assert image.colorSpace == image.ColorSpace.Value("RGB")
    assert [o.name for o in spec.description.output] == ["classLabel", "classLabel_probs"]
    assert spec.description.predictedFeatureName == "classLabel"
    assert spec.description.predictedProbabilitiesName == "classLabel_probs"
    classify = program.functions["main"].operations[-1]
    assert tuple(classify.inputs["classes"].val) == graph.labels
    expected = probabilities(reference(graph, real(pixels(side))))
    assert np.abs(computed(package, pixels(side)) - expected).max() < ERRORS[precision]


@installed
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_logits_are_float32_whatever_the_arithmetic(tmp_path: Path, precision: str) -> None:
    package = written(GRAPHS["small"], tmp_path, options(precision))
    spec, _ = mil_evaluator.load(package)
    (output,) = spec.description.output
    array = output.type.multiArrayType
    assert (output.name, list(array.shape)) == ("logits", [1, 5])
    assert array.dataType == array.ArrayDataType.Value("FLOAT32")


@installed
def test_a_graph_that_ends_in_a_map_gives_it_channels_last(tmp_path: Path) -> None:
    graph = make_graph(mobilenet(32)[:6])
    batch = pixels(32)
    assert error(computed(written(graph, tmp_path, options()), batch), reference(graph, real(batch))) < 1e-5


@installed
@pytest.mark.parametrize("count", [1, 2])
def test_the_metadata_say_what_the_package_is(tmp_path: Path, count: int) -> None:
    networks = {f"budget_{i}": GRAPHS["small"] for i in range(count)}
    spec, _ = mil_evaluator.load(written(networks, tmp_path, options("int8", output="probabilities")))
    metadata = spec.description.metadata
    assert metadata.shortDescription.startswith("Ein Netz: 5 labels, int8")
    assert metadata.license == "Zeichnungen: Ü, CC BY 4.0\nsecond line"
    assert metadata.author == f"eas_sdk {eas_sdk.__version__}"
    assert metadata.userDefined["precision"] == "int8"
    assert json.loads(metadata.userDefined["labels"]) == list(GRAPHS["small"].labels)
    madds = cost(GRAPHS["small"].nodes).madds
    functions = [function.name for function in spec.description.functions] or ["main"]
    assert json.loads(metadata.userDefined["madds"]) == dict.fromkeys(functions, madds)
    assert not spec.mlProgram.attributes  # a date, if coremltools had its way
    assert spec.specificationVersion == (7 if count == 1 else 9)  # iOS 16; functions: iOS 18


@installed
@pytest.mark.parametrize("count", [1, 2])
def test_equal_networks_are_equal_files(tmp_path: Path, count: int) -> None:
    networks = {f"budget_{i}": GRAPHS["large weights"] for i in range(count)}
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        written(networks, folder, options("palettized", output="probabilities"))
    found = contents(first / "network.mlpackage")
    assert found == contents(second / "network.mlpackage")
    assert set(found) == {str(MODEL), str(MANIFEST), "Data/com.apple.CoreML/weights/weight.bin"}


@installed
@pytest.mark.parametrize("precision", ["int8", "palettized"])
@pytest.mark.parametrize("count", [1, 2])
def test_large_weights_are_stored_in_few_bits(tmp_path: Path, precision: str, count: int) -> None:
    graph = GRAPHS["large weights"]
    networks = {"first": graph} if count == 1 else {"first": graph, "second": GRAPHS["chain"]}
    _, program = mil_evaluator.load(written(networks, tmp_path, options(precision)))
    function = "main" if count == 1 else "first"
    found = mil_evaluator.weights(program, function)
    forms: Counter[str] = Counter()
    for node in graph.nodes:
        if not isinstance(node, Conv2d | DepthwiseConv2d | Linear):
            continue
        weight = graph.weights[f"{node.name}.weight"]
        weight = weight.transpose(2, 0, 1) if isinstance(node, DepthwiseConv2d) else weight
        weight = weight.transpose(0, 3, 1, 2) if isinstance(node, Conv2d) else weight
        stored = next(w for w in (found[n] for n in operators(node) if n in found)).reshape(weight.shape)
        difference = np.abs(stored - weight)
        if weight.size <= 2048:
            form, bound = "float16", np.abs(weight) * 2**-11 + 1e-7
        elif precision == "palettized" and weight.size > 10_000 and not isinstance(node, DepthwiseConv2d):
            form, bound = "table", np.abs(weight).max() / 10
            assert len(np.unique(stored)) == 64
        else:
            most = np.abs(weight).max(tuple(range(1, weight.ndim)), keepdims=True)
            form, bound = "int8", most / 127 * 0.7  # half a step, and three times half a step of float16
            assert difference.max() > most.max() / 127 / 4
        assert (difference <= bound).all(), (node.name, form)
        forms[f"{type(node).__name__} {form}"] += 1
    assert forms["DepthwiseConv2d int8"] == 3
    assert forms["Conv2d int8"] > 5
    assert forms["Conv2d table"] == (precision == "palettized")
    assert forms["Conv2d float16"] + forms["Linear float16"] > 1


def operators(node: Node) -> list[str]:
    """Names that the operator of a node may have after coremltools has made them identifiers."""
    name = node.name.replace(" ", "_")
    name = f"op_{name}" if name[0].isdigit() else name
    return [name, f"{name}_linear"]


@installed
@pytest.mark.parametrize("precision", PRECISIONS)
def test_functions_share_equal_tensors_alone(tmp_path: Path, precision: str) -> None:
    graph = GRAPHS["large weights"]
    changed = dict(graph.weights) | {"head.weight": graph.weights["head.weight"] * 1.5}
    networks = {"low": graph, "high": Graph(graph.nodes, changed, graph.labels)}
    package = written(networks, tmp_path, options(precision))
    found = sharing(package)
    spec, _ = mil_evaluator.load(package)
    assert [f.name for f in spec.description.functions] == ["low", "high"]
    assert spec.description.defaultFunctionName == "low"
    batch = pixels(21, 1)
    for name, network in networks.items():
        assert error(computed(package, batch, name), reference(network, real(batch))) < ERRORS[precision]
    head = {"float32": 4, "float16": 2, "int8": 1, "palettized": 1}[precision] * graph.weights["head.weight"].size
    assert found.functions["low"] == found.functions["high"]
    assert found.total_bytes - found.functions["low"] == pytest.approx(head, rel=0.1)
    assert found.shared_bytes == found.functions["low"] + found.functions["high"] - found.total_bytes


@installed
def test_one_network_under_two_names_takes_the_room_of_one(model: Model, tmp_path: Path) -> None:
    one = sharing(written(model.graph, tmp_path, options("float16")))
    assert one == Sharing(one.total_bytes, one.total_bytes, {"main": one.total_bytes})
    weights = sum(w.size for w in model.graph.weights.values())
    assert 2 * weights * 0.99 < one.total_bytes <= 2 * weights * 1.01
    (tmp_path / "two").mkdir()
    two = sharing(written({"low": model.graph, "high": model.graph}, tmp_path / "two", options("float16")))
    assert two.total_bytes == one.total_bytes
    assert two.shared_bytes == one.total_bytes


@installed
@pytest.mark.parametrize("case", ["map", "labels", "channels", "float16", "graph"])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    graph, chosen = GRAPHS["small"], options(output="probabilities")
    if case == "map":
        graph, message = make_graph(mobilenet(32)[:6]), "ends in Linear"
    elif case == "labels":
        graph, message = Graph(graph.nodes, graph.weights, ("owl", "duck", "owl", "cat", "dog")), "labels .* differ"
    elif case == "channels":
        nodes = [Normalize("n", (INPUT,), 4, 1), GlobalMean("m", ("n",), 4, 1), Linear("c", ("m",), 1, 2)]
        graph, message = make_graph(nodes), "3 channels; the network reads 1"
    elif case == "float16":
        changed = dict(graph.weights) | {"head.weight": graph.weights["head.weight"] * np.float32(1e6)}
        graph, chosen, message = Graph(graph.nodes, changed, graph.labels), options("float16"), "'head' has .*float32"
    else:
        graph, message = Graph(graph.nodes, {}, graph.labels), "normalize.weight"
    temporary, target = tmp_path / "temporary", tmp_path / "target"
    temporary.mkdir()
    target.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(InputError, match=message):
        written({"first": GRAPHS["small"], "second": graph}, target, chosen)
    assert list(target.iterdir()) == []
    assert list(temporary.iterdir()) == []


@installed
def test_a_written_package_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, target = tmp_path / "temporary", tmp_path / "target"
    temporary.mkdir()
    target.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    written({"first": GRAPHS["small"], "second": GRAPHS["small"]}, target, options())
    assert [f.name for f in target.iterdir()] == ["network.mlpackage"]
    assert list(temporary.iterdir()) == []


@installed
def test_files_of_other_threads_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with coremltools():
        left = Path(tempfile.mkdtemp(suffix=".mlpackage"))
        with tempfile.NamedTemporaryFile(delete=False) as kept:
            kept.write(b"of another thread")
    assert not left.exists()
    assert Path(kept.name).read_bytes() == b"of another thread"
    assert tempfile.gettempdir() == str(tmp_path)


@installed
def test_nothing_is_printed(tmp_path: Path) -> None:
    code = (
        "import logging, sys; logging.basicConfig(); import eas_sdk; from eas_sdk.export import export;"
        "m = eas_sdk.load('emoji').specialize('birds', '4M');"
        "export({'low': m, 'high': m}, sys.argv[1], precision='int8')"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path / "birds.mlpackage")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert sharing(tmp_path / "birds.mlpackage").shared_bytes > 0


@installed
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_optimizer_of_coremltools_works_on_packages(tmp_path: Path, precision: str) -> None:
    graph, batch = make_graph(mobilenet(16, kernels=(3,), strides=(1,))), pixels(16)
    package = written(graph, tmp_path, options(precision))
    with coremltools() as ct:
        optimize = ct.optimize.coreml
        config = optimize.OptimizationConfig(optimize.OpLinearQuantizerConfig(weight_threshold=0))
        model = ct.models.MLModel(str(package), skip_model_load=True)
        optimize.linear_quantize_weights(model, config).save(str(tmp_path / "made.mlpackage"))
    assert error(computed(tmp_path / "made.mlpackage", batch), reference(graph, real(batch))) < 0.1


@installed
def test_nothing_is_replaced_but_a_package(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "birds.mlpackage"
    model.export(path)
    first = contents(path)
    assert model.export(path, precision="float16").bytes < sum(map(len, first.values()))
    assert [f.name for f in tmp_path.iterdir()] == [path.name]
    (path / "Data" / "notes.txt").write_text("mine")
    before = contents(path)
    (tmp_path / "other.mlpackage").mkdir()
    (tmp_path / "file.mlpackage").write_bytes(b"mine")
    for name in (path.name, "other.mlpackage", "file.mlpackage"):
        with pytest.raises(InputError, match="replace nothing but their like"):
            model.export(tmp_path / name)
    assert contents(path) == before
    assert (tmp_path / "file.mlpackage").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 3


def test_the_extra_is_named_where_coremltools_is_missing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingDependency, match=r"elastic-architecture-search\[coreml\]"):
        model.export(tmp_path / "birds.mlpackage")
    assert list(tmp_path.iterdir()) == []


@installed
@elsewhere
def test_other_systems_write_packages_without_proof(model: Model, tmp_path: Path) -> None:
    made = model.export(tmp_path / "birds.mlpackage", precision="float16")
    assert made.proof is None
    assert "macOS only" in made.unproved
    assert made.bytes == sum(map(len, contents(made.path).values()))
    with pytest.raises(MissingDependency, match="macOS only"):
        load_engine("coreml")


@installed
def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sharing(tmp_path / "none.mlpackage")
    (tmp_path / MODEL).parent.mkdir(parents=True)
    (tmp_path / MODEL).write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match=r"model\.mlmodel"):
        sharing(tmp_path)
