"""The proof of exported files: what it shows, what it refuses, and what it lets pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from bundles import patches, random_bundle
from click.testing import CliRunner

import eas_sdk
from eas_exporters.tflite.exporter import TFLiteExporter
from eas_sdk import export as module
from eas_sdk.cli.app import cli
from eas_sdk.errors import ExportError, ImageError, InputError
from eas_sdk.export import SIGNATURE, Options, export
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import to_square
from eas_sdk.model import Model
from eas_sdk.proof import IMAGES, compare, divided

PACKAGES = {".tflite": ("ai_edge_litert",), ".onnx": ("onnx", "onnxruntime"), ".mlpackage": ("coremltools",)}


def spot() -> np.ndarray:
    """Grey, with a white spot: not even, and nothing like a picture."""
    images = np.full((20, 64, 64, 3), 128, np.uint8)
    images[:, 30:38, 30:38] = 255
    return images


def shown(model: Model, given: object = None) -> np.ndarray:
    """The pixels that a proof shows."""
    seen: list[np.ndarray] = []

    def run(batch: np.ndarray) -> np.ndarray:
        seen.append(np.rint(batch * 255).astype(np.uint8))
        return model.reference(batch)

    made = compare(model, run, given, softmax=False)  # type: ignore[arg-type]
    assert made.images == len(seen[0])
    return seen[0]


def found(image: np.ndarray, among: np.ndarray) -> bool:
    return bool((among == image).all((1, 2, 3)).any())


@pytest.mark.parametrize("task", ["insects", "play", ["penguin", "dove"], ["penguin"]])
def test_a_proof_shows_unseen_images_of_the_task(task: str | list[str]) -> None:
    model = eas_sdk.load("emoji").specialize(task, "4M")
    bundle, images = model.bundle, shown(model)
    assert len(images) == IMAGES
    assert bundle.pictures is not None
    own = [i for i, c in enumerate(bundle.pictures.proof) if bundle.labels[c] in model.labels]
    assert own
    for image in bundle.proof_images(own):
        assert found(image, images)
        assert found(image[:, ::-1], images)
    calibration = bundle.calibration_images
    assert calibration is not None
    assert not any(found(image, images) for image in calibration)
    others = [i for i in range(len(bundle.pictures.proof)) if i not in own]
    strangers = sum(found(image, images) for image in bundle.proof_images(others))
    assert strangers <= IMAGES - 8 * len(own) if 8 * len(own) < IMAGES else strangers == 0


def test_a_network_behind_a_router_is_shown_its_own_superclass() -> None:
    model = eas_sdk.load("emoji").specialize("auto", "40%").network("birds")
    bundle = model.bundle
    assert len(model.labels) == len(bundle.labels)
    assert {bundle.labels[c] for c in model.classes} == set(eas_sdk.load("emoji").labels("birds"))


def test_images_of_the_caller_are_shown_in_views() -> None:
    model = eas_sdk.load("emoji").specialize("birds", "4M")
    given = [np.random.default_rng(i).integers(0, 256, (50 + i, 70, 3), np.uint8) for i in range(5)]
    images = shown(model, given)
    assert len(images) == 40
    for frame in given:
        assert found(to_square(frame, 64), images)
    assert len(np.unique(images.reshape(40, -1), axis=0)) == 40
    assert len(shown(model, patches(100, 64))) == IMAGES


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize(("task", "budget"), [("places", "12M"), ("vehicles", "0%"), ("sea-life", "0%")])
def test_valid_files_are_not_refused(task: str, budget: str, suffix: str, tmp_path: Path) -> None:
    for package in PACKAGES[suffix]:
        pytest.importorskip(package)
    model = eas_sdk.load("emoji").specialize(task, budget)
    made = model.export(tmp_path / f"a{suffix}", precision="int8")
    assert made.proof is not None
    assert made.proof.agreement > 0.9


@pytest.mark.parametrize(
    "images",
    [
        np.full((1, 64, 64, 3), 128, np.uint8),
        np.arange(0, 250, 10, np.uint8).repeat(64 * 64 * 3).reshape(-1, 64, 64, 3),
        (patches(20, 64) > 127).astype(np.uint8),
        np.zeros((20, 30, 40, 3), np.float32),
    ],
    ids=["one grey", "greys", "0 to 1 as 8 bits", "black"],
)
def test_calibration_images_that_show_nothing_are_refused(images: np.ndarray, tmp_path: Path) -> None:
    model = eas_sdk.load("emoji").specialize("birds", "4M")
    with pytest.raises(ImageError, match=r"show what the app will see: light and dark.*or none"):
        model.export(tmp_path / "a.tflite", precision="int8", calibration=images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_bad_calibration_is_refused_and_kept_if_wanted(suffix: str, tmp_path: Path) -> None:
    for package in PACKAGES[suffix]:
        pytest.importorskip(package)
    model, path = eas_sdk.load("emoji").specialize("birds", "4M"), tmp_path / f"a{suffix}"
    with pytest.raises(ExportError, match=r"may help: images like those.*float16.*keep=True \(--keep\)"):
        model.export(path, precision="int8", calibration=spot())
    assert not path.exists()
    made = model.export(path, precision="int8", calibration=spot(), keep=True)
    assert made.proof is not None
    assert made.proof.agreement < 0.85
    assert f"agrees on {made.proof.agreement:.1%} of 64 images" in made.failed
    assert path.exists()
    assert not model.export(path, precision="int8", keep=True).failed


def test_the_command_keeps_a_file_that_fails_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    image = pytest.importorskip("PIL.Image")
    image.fromarray(spot()[0]).save(tmp_path / "spot.png")
    arguments = [
        "export",
        "birds",
        "4M",
        "--bundle",
        "emoji",
        "-o",
        str(tmp_path / "a.tflite"),
        "--precision",
        "int8",
        "--calibrate-on",
    ]
    refused = CliRunner().invoke(cli, [*arguments, str(tmp_path)])
    assert refused.exit_code == 2
    assert "--keep" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    kept = CliRunner().invoke(cli, [*arguments, str(tmp_path), "--keep"])
    assert kept.exit_code == 0
    assert "fails its proof" in kept.stderr
    assert (tmp_path / "a.tflite").exists()


class Watched(TFLiteExporter):
    """Notes what it calibrates on."""

    def __init__(self) -> None:
        self.calibration: list[object] = []

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        self.calibration.append(options.calibration)
        super().write(networks, path, options)


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of a bundle without pictures."""
    path = random_bundle(tmp_path_factory.mktemp("bundle"), calibration_images=0, proof_images=0)
    return eas_sdk.load(path).specialize("tools", "1M")


def test_without_pictures_half_of_the_caller_s_prove(
    bare: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ai_edge_litert")
    watched, images = Watched(), patches(20, 32)
    monkeypatch.setattr(module, "load_exporter", lambda suffix: watched)
    bare.export(tmp_path / "a.tflite", precision="int8", calibration=images, keep=True)
    np.testing.assert_array_equal(watched.calibration[0], images[::2])
    with pytest.raises(InputError, match="16 or more are needed; got 15"):
        bare.export(tmp_path / "a.tflite", precision="int8", calibration=images[:15])
    with pytest.raises(InputError, match="the bundle carries none, and none were given"):
        bare.export(tmp_path / "a.tflite", precision="int8")


@pytest.mark.parametrize("count", [15, 16])
def test_calibration_images_are_divided_where_a_bundle_has_no_others(count: int, tmp_path: Path) -> None:
    runtime = eas_sdk.load(random_bundle(tmp_path, calibration_images=count, proof_images=0))
    model = runtime.specialize("tools", "1M")
    if count < 16:
        with pytest.raises(InputError, match="16 or more are needed; got 15"):
            divided(model, None)
    else:
        calibration, proof = divided(model, None)
        assert proof is not None
        assert len(calibration) == len(proof) == 8


def test_noise_proves_arithmetic_alone(bare: Model, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    for precision in ("float32", "float16", "dynamic"):
        made = export({SIGNATURE: bare}, tmp_path / "a.tflite", precision=precision)
        assert made.proof is not None
        assert (made.proof.images, made.proof.noise) == (8, True)


def test_what_needs_no_images_asks_for_none(bare: Model, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    assert bare.export(tmp_path / "a.mlpackage", precision="int8").bytes > 0
