"""Networks of different input sizes in one file: each signature takes its own, and is proved and calibrated at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sizes import LARGE, SMALL, runtime_of_sizes

from eas_sdk.export import export, proof_images
from eas_sdk.images import to_square
from eas_sdk.model import Model
from exporters.calibration import calibrate

FRAMES = [np.random.default_rng(i).integers(0, 256, (50 + i, 70, 3), np.uint8) for i in range(5)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    runtime = runtime_of_sizes(tmp_path_factory.mktemp("bundle"))
    made = {"low": runtime.specialize("birds", "0%"), "high": runtime.specialize("birds", "75%")}
    assert [model.input_size for model in made.values()] == [SMALL, LARGE]
    return made


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("int8", 0.3)])
@pytest.mark.parametrize("own", [True, False])
def test_signatures_of_different_sizes_in_one_file(
    models: dict[str, Model], tmp_path: Path, precision: str, most: float, own: bool
) -> None:
    pytest.importorskip("ai_edge_litert")
    from exporters.tflite.interpreter import Interpreter

    path = tmp_path / "birds.tflite"
    made = export(models, path, precision=precision, output="logits", calibration=FRAMES if own else None)
    assert made.proof is not None
    assert made.proof.images == (len(FRAMES) if own else 4)
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
    assert made.proof.images == 4


def test_each_network_is_calibrated_at_its_own_size(models: dict[str, Model]) -> None:
    graph = models["low"].graph
    own = [to_square(frame, SMALL) for frame in FRAMES]
    assert calibrate(graph, FRAMES) == calibrate(graph, np.stack(own))


def test_the_proof_shows_pixels_of_each_network_s_size(models: dict[str, Model]) -> None:
    class Chosen:
        calibration = FRAMES

    for size in (SMALL, LARGE):
        batch = proof_images(Chosen(), size)  # type: ignore[arg-type]
        expected = np.stack([to_square(frame, size) for frame in FRAMES])
        np.testing.assert_array_equal(np.rint(batch * 255), expected)
        np.testing.assert_allclose(batch * 255, expected, atol=1e-4)
