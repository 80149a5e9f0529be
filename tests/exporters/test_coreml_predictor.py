"""Running Core ML packages: on macOS with Core ML, elsewhere with the evaluator in its place."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.graphs import error, images, make_graph, mobilenet, reference
from sizes import LARGE, SMALL, runtime_of_sizes

import eas_sdk
from eas_exporters.coreml import engine as engine_module
from eas_exporters.coreml import predictor as predictor_module
from eas_exporters.coreml.engine import CoreMLEngine
from eas_exporters.coreml.library import coremltools
from eas_sdk.errors import ExportError
from eas_sdk.export import InputKind, OutputKind, export
from eas_sdk.model import Model
from tests.exporters import mil_evaluator

installed = pytest.mark.skipif(importlib.util.find_spec("coremltools") is None, reason="coremltools is not installed")
elsewhere = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has Core ML")


def evaluate(self: Any, data: dict[str, Any]) -> dict[str, Any]:
    """What MLModel.predict does where there is Core ML; the labels of its dictionary are in no order."""
    spec, program = mil_evaluator.load(Path(self.package_path))
    (given,) = data.values()
    if not isinstance(given, np.ndarray):
        assert given.mode == "RGB"
        given = np.asarray(given).transpose(2, 0, 1)[np.newaxis]
    outputs = mil_evaluator.run(program, given, self.function_name or "main")
    if "logits" in outputs:
        return outputs
    labels = json.loads(spec.description.metadata.userDefined["labels"])
    pairs = zip(labels, map(float, outputs["classLabel_probs"][0]), strict=True)
    return {"classLabel_probs": dict(sorted(pairs, reverse=True))}


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with Core ML, if need be with the evaluator in its place."""
    if sys.platform != "darwin":
        for module in (predictor_module, engine_module):
            monkeypatch.setattr(module, "check_system", lambda: None)
        with coremltools() as ct:
            monkeypatch.setattr(ct.models.MLModel, "predict", evaluate)


@installed
@pytest.mark.usefixtures("core_ml")
@pytest.mark.parametrize("output", ["probabilities", "logits"])
@pytest.mark.parametrize("input", ["uint8", "float32"])
def test_packages_are_proved_where_core_ml_is(
    model: Model, drawings: np.ndarray, tmp_path: Path, input: InputKind, output: OutputKind
) -> None:
    made = model.export(tmp_path / "a.mlpackage", input=input, output=output, calibration=drawings[:1])
    assert made.proof is not None
    assert made.proof.images == 8
    assert made.proof.error < 1e-4
    assert made.proof.agreement == 1


@installed
@pytest.mark.usefixtures("core_ml")
def test_every_function_is_proved(model: Model, drawings: np.ndarray, tmp_path: Path) -> None:
    models = {"low": model, "high": eas_sdk.load("emoji").specialize("birds", "6M")}
    made = export(models, tmp_path / "a.mlpackage", calibration=drawings[:1])
    assert made.proof is not None
    assert made.proof.error < 1e-4
    assert made.bytes < 0.9 * made.weight_bytes


@installed
@pytest.mark.usefixtures("core_ml")
def test_functions_of_one_package_may_take_images_of_different_sizes(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    runtime = runtime_of_sizes(tmp_path / "bundle")
    models = {"low": runtime.specialize("birds", "0%"), "high": runtime.specialize("birds", "75%")}
    path = tmp_path / "a.mlpackage"
    made = export(models, path, calibration=np.random.default_rng(0).integers(0, 256, (1, 50, 70, 3), np.uint8))
    assert made.proof is not None
    assert made.proof.error < 1e-4
    spec, _ = mil_evaluator.load(path)
    sizes = {
        f.name: (f.input[0].type.imageType.width, f.input[0].type.imageType.height) for f in spec.description.functions
    }
    assert sizes == {"low": (SMALL, SMALL), "high": (LARGE, LARGE)}


@installed
@pytest.mark.usefixtures("core_ml")
@elsewhere
def test_a_package_that_core_ml_does_not_run_is_not_kept(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, data: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("Error computing NN outputs.")

    with coremltools() as ct:
        monkeypatch.setattr(ct.models.MLModel, "predict", fail)
    with pytest.raises(ExportError, match="computing NN outputs"):
        model.export(tmp_path / "a.mlpackage", input="float32")
    assert list(tmp_path.iterdir()) == []


@installed
@pytest.mark.usefixtures("core_ml")
def test_the_engine_runs_graphs_and_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for nodes in (mobilenet(21), mobilenet(21)[:6]):
        graph = make_graph(nodes)
        program = CoreMLEngine().compile(graph)
        batch = images(21, 2)
        assert error(program.run(batch), reference(graph, batch)) < 1e-5
        assert program.run(batch[:0]).shape[1:] == reference(graph, batch).shape[1:]
        del program
    assert list(tmp_path.iterdir()) == []
