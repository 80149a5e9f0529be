"""The command line where networks differ in input size, and images in theirs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundles import SUPERCLASSES, patches
from PIL import Image
from sizes import LARGE, ROUTER, SMALL, runtime_of_sizes

from eas_sdk import Budget, Runtime
from eas_sdk.bench.figures import Case
from eas_sdk.bench.local import measure
from eas_sdk.image_file import read_image
from eas_sdk.images import to_square
from eas_sdk.router.export import MANIFEST


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return runtime_of_sizes(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(autouse=True)
def opened(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands open that runtime."""
    monkeypatch.setattr("eas_sdk.cli.common.load", lambda bundle, latency, power: runtime)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """superclass/label.png for every label, no two of one size."""
    root, side = tmp_path_factory.mktemp("photos"), 20
    for task, labels in SUPERCLASSES.items():
        (root / task).mkdir()
        for label in labels:
            Image.fromarray(patches(1, 4 * side, seed=side)[0][: 3 * side]).save(root / task / f"{label}.png")
            side += 3
    return root


def said(eas, *arguments: object) -> dict:
    result = eas(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_each_network_says_its_size(eas) -> None:
    assert said(eas, "specialize", "birds", "0%")["input_size"] == SMALL
    assert said(eas, "specialize", "birds", "75%")["input_size"] == LARGE
    assert f"{SMALL} x {SMALL} px" in eas("specialize", "birds", "0%").stdout
    assert said(eas, "info")["input_sizes"] == [SMALL, LARGE]
    assert f"of any size; networks of {SMALL} to {LARGE} px" in eas("info").stdout


@pytest.mark.parametrize("scene", [False, True])
def test_predict_shows_each_network_the_photograph_itself(eas, runtime: Runtime, photos: Path, scene: bool) -> None:
    paths = sorted(photos.rglob("*.png"))
    flags = ["--scene"] if scene else []
    found = said(eas, "predict", *paths, "--budget", "2M", "--top-k", 1, *flags)["predictions"]
    expected = runtime.specialize("auto", "2M").predict([read_image(path) for path in paths], 1, scene=scene)
    for got, wanted in zip(found, expected, strict=True):
        assert (got["superclass"] or "") == wanted.superclass
        assert [top["label"] for top in got["top"]] == [label for label, _ in wanted.top]


def test_evaluate_and_demo_show_networks_of_both_sizes(eas, runtime: Runtime, photos: Path, tmp_path: Path) -> None:
    report = said(eas, "evaluate", "--images", photos, "--budgets", 2)
    for level, end in zip(report["levels"], ("0%", "100%"), strict=True):
        for task, labels in SUPERCLASSES.items():
            images = [to_square(read_image(photos / task / f"{label}.png"), LARGE) for label in labels]
            found = runtime.specialize(task, end).predict(images)
            right = np.mean([p.label == label for p, label in zip(found, labels, strict=True)])
            assert level["top1_by_superclass"][task] == pytest.approx(right)
    rows = said(eas, "demo", "--images", photos, "--out", tmp_path / "a.png")["rows"]
    assert {row["budget"] for row in rows} == {"low", "middle", "top"}


def test_export_writes_files_for_networks_of_both_sizes(eas, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    options = ("--precision", "int8", "--calibrate-on", photos, "--keep")  # of random weights
    report = said(eas, "export", "birds", "0%", "75%", "-o", tmp_path / "birds.tflite", *options)
    assert [network["input_size"] for network in report["networks"].values()] == [SMALL, LARGE]
    assert report["proof"]["images"] >= 32
    said(eas, "export", "auto", "0%", "-o", tmp_path / "auto", *options)
    manifest = json.loads((tmp_path / "auto" / MANIFEST).read_text())
    assert manifest["router"]["input_size"] == ROUTER
    networks = [s["networks"]["serving_default"] for s in manifest["superclasses"].values()]
    assert {network["input_size"] for network in networks} == {SMALL}


@pytest.mark.parametrize("level", [0.0, 0.75])
def test_the_benchmark_shows_a_network_images_of_its_size(runtime: Runtime, level: float) -> None:
    figures = measure(runtime, Case("birds", Budget(level=level), runs=3, batch=2))
    assert figures.madds == runtime.specialize("birds", Budget(level=level)).madds
    assert figures.latency_p50_ms > 0
