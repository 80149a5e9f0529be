"""Networks of different input sizes in one file: each signature takes its own, and is proved and calibrated at it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from bundles import SIZES, patches, random_bundle
from sizes import LARGE, SMALL, runtime_of_sizes

import eas_sdk
from eas_exporters.calibration import calibrate
from eas_sdk.export import export
from eas_sdk.images import to_square
from eas_sdk.model import Model
from eas_sdk.runtime import Runtime
from eas_sdk.space.sample import random_architecture

FRAMES = [patches(1, 72, seed=i)[0, : 50 + i, :70] for i in range(5)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    runtime = runtime_of_sizes(tmp_path_factory.mktemp("bundle"))
    made = {"low": runtime.specialize("birds", "0%"), "high": runtime.specialize("birds", "75%")}
    assert [model.input_size for model in made.values()] == [SMALL, LARGE]
    return made


FORMATS = [
    *((".tflite", p) for p in ("float32", "float16", "dynamic", "int8")),
    *((".onnx", p) for p in ("float32", "float16", "int8")),
    *((".mlpackage", p) for p in ("float32", "float16", "int8", "palettized")),
]
PACKAGES = {".tflite": ("ai_edge_litert",), ".onnx": ("onnx", "onnxruntime"), ".mlpackage": ("coremltools",)}
FURTHEST = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.1, "int8": 0.15}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Networks like EfficientNet-Lite0's: ReLU6, TensorFlow's padding, units of choices of their own."""
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("lite"), space=SIZES, calibration_images=12))


@pytest.mark.parametrize("size", SIZES.input_sizes)
@pytest.mark.parametrize(("suffix", "precision"), FORMATS)
def test_networks_of_every_size_in_every_format_and_precision(
    published: Runtime, tmp_path: Path, suffix: str, precision: str, size: int
) -> None:
    for package in PACKAGES[suffix]:
        pytest.importorskip(package)
    drawn = random_architecture(SIZES, random.Random(size))
    model = published.build("tools", dataclasses.replace(drawn, input_size=size))
    made = model.export(tmp_path / f"tools{suffix}", precision=precision, output="logits")
    assert made.bytes < 1.5 * made.weight_bytes
    if suffix != ".mlpackage":  # which runs on macOS alone
        assert made.proof is not None
        assert made.proof.error < FURTHEST[precision]


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_engines_agree_on_random_members_of_every_size(published: Runtime, engine: str) -> None:
    for package in PACKAGES[{"litert": ".tflite", "onnxruntime": ".onnx"}[engine]]:
        pytest.importorskip(package)
    rng = random.Random(0)
    for _ in range(12):
        architecture = random_architecture(SIZES, rng)
        expected, found = (
            published.build("birds", architecture, engine=name).logits(FRAMES) for name in ("numpy", engine)
        )
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("int8", 0.3)])
@pytest.mark.parametrize("own", [True, False])
def test_signatures_of_different_sizes_in_one_file(
    models: dict[str, Model], tmp_path: Path, precision: str, most: float, own: bool
) -> None:
    pytest.importorskip("ai_edge_litert")
    from eas_exporters.tflite.interpreter import Interpreter

    path = tmp_path / "birds.tflite"
    made = export(models, path, precision=precision, output="logits", calibration=FRAMES if own else None)
    assert made.proof is not None
    assert made.proof.images > 4 * len(FRAMES)
    for name, model in models.items():
        interpreter = Interpreter(path, signature=name)
        assert interpreter.input_shape == (1, model.input_size, model.input_size, 3)
        found = interpreter.run(np.stack([to_square(frame, model.input_size) for frame in FRAMES]))
        expected = model.logits(FRAMES)
        assert np.abs(found - expected).max() <= most * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_of_a_network_that_is_smaller_than_the_bundle_s_images(
    models: dict[str, Model], tmp_path: Path, precision: str
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    made = models["low"].export(tmp_path / "a.onnx", precision=precision)
    assert made.proof is not None
    assert made.proof.images > 16


def test_each_network_is_calibrated_at_its_own_size(models: dict[str, Model]) -> None:
    graph = models["low"].graph
    own = [to_square(frame, SMALL) for frame in FRAMES]
    assert calibrate(graph, FRAMES) == calibrate(graph, np.stack(own))
