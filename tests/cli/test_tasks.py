"""Tasks on the command line: unions, lists, all, and auto, where the router picks the task."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, patches, random_bundle
from PIL import Image

import eas_sdk
from eas_sdk.image_file import read_image
from eas_sdk.router.export import MANIFEST
from eas_sdk.router.network import NONE


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve images, of every superclass and of none."""
    folder, made = tmp_path_factory.mktemp("images"), []
    for i, pixels in enumerate(patches(12, SPACE.input_sizes[0], seed=1)):
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
        made.append(folder / f"{i:02}.png")
    return made


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("birds,tools", [*SUPERCLASSES["birds"], *SUPERCLASSES["tools"]]),
        ("owl, saw,bee", ["owl", "saw", "bee"]),
        ("insects,owl", [*SUPERCLASSES["insects"], "owl"]),
        ("owl", ["owl"]),
        ("all", [label for labels in SUPERCLASSES.values() for label in labels]),
    ],
)
def test_several_names_are_one_task(eas, bundle: Path, task: str, labels: list[str]) -> None:
    result = eas("specialize", task, "2M", "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["labels"] == labels
    assert report["madds"] <= 2_000_000


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("birds,birds", "once"),
        ("birds,owl", "'owl' and 'birds'"),
        ("bird", "did you mean 'birds'"),
        (",", "called ','"),
    ],
)
def test_a_wrong_task_is_told(eas, bundle: Path, task: str, part: str) -> None:
    result = eas("specialize", task, "2M", "--bundle", bundle)
    assert result.exit_code == 2
    assert part in result.stderr


def test_specialize_auto(eas, bundle: Path) -> None:
    result = eas("specialize", "auto", "2M", "--bundle", bundle, "--json")
    report = json.loads(result.stdout)
    model = eas_sdk.load(bundle).specialize("auto", "2M")
    assert (
        report["madds"] == model.madds == report["router_madds"] + max(n["madds"] for n in report["networks"].values())
    )
    assert {name: n["architecture"] for name, n in report["networks"].items()} == {
        name: str(found) for name, found in model.architectures.items()
    }
    printed = eas("specialize", "auto", "2M and 20MB", "--bundle", bundle).stdout
    assert all(name in printed for name in SUPERCLASSES)


def test_predict_finds_the_task_out(eas, bundle: Path, images: list[Path]) -> None:
    result = eas("predict", *images, "--budget", "2M", "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    pixels = np.stack([np.asarray(Image.open(path)) for path in images])
    expected = eas_sdk.load(bundle).specialize("auto", "2M").predict(pixels)
    assert report["task"] == "auto"
    assert [p["superclass"] for p in report["predictions"]] == [p.superclass or None for p in expected]
    assert [[t["label"] for t in p["top"]] for p in report["predictions"]] == [[n for n, _ in p.top] for p in expected]
    assert None in [p["superclass"] for p in report["predictions"]]
    printed = eas("predict", *images, "--budget", "2M", "--bundle", bundle).stdout
    assert NONE in printed
    assert all(name in printed for name in {p.superclass for p in expected})
    scene = json.loads(eas("predict", *images, "--scene", "--budget", "2M", "--bundle", bundle, "--json").stdout)
    assert len({p["superclass"] for p in scene["predictions"]}) == 1


def test_predict_without_a_router_asks_for_a_task(eas, images: list[Path], tmp_path: Path) -> None:
    bare = random_bundle(tmp_path, router=False)
    result = eas("predict", images[0], "--bundle", bare)
    assert result.exit_code == 2
    assert "or name a task: birds, insects, tools" in result.stderr
    assert "router" in eas("info", "--bundle", bare).stdout
    assert json.loads(eas("info", "--bundle", bare, "--json").stdout)["router"] is None


def test_info_tells_of_the_router(eas, bundle: Path) -> None:
    router = json.loads(eas("info", "--bundle", bundle, "--json").stdout)["router"]
    assert router["madds"] == eas_sdk.load(bundle).checked_router().cost.madds
    assert router["threshold"] == 0.4


def test_evaluate_reports_all_kinds_of_task(eas, bundle: Path, drawings: Path) -> None:
    result = eas("evaluate", "--images", drawings, "--bundle", bundle, "--budgets", "2", "--json")
    assert result.exit_code == 0, result.output
    kinds = {kind["kind"]: kind for kind in json.loads(result.stdout)["kinds"]}
    assert list(kinds) == ["unions", "lists", "all", "auto"]
    runtime = eas_sdk.load(bundle)
    for kind in kinds.values():
        assert [level["budget_fraction"] for level in kind["levels"]] == [0, 1]
        for level in kind["levels"]:
            low, high = level["top1_interval_95"]
            assert 0 <= low <= level["top1"] <= high <= 1
    assert kinds["all"]["levels"][0]["mean_madds"] == runtime.budget_range("all")[0]
    labels = [label for names in SUPERCLASSES.values() for label in names]
    paths = [drawings / name / f"{label}.png" for name, found in SUPERCLASSES.items() for label in found]
    pixels = [read_image(path) for path in paths]
    found = runtime.specialize("auto", "0%").predict(pixels)
    right = np.mean([p.label == label for p, label in zip(found, labels, strict=True)])
    assert kinds["auto"]["levels"][0]["top1"] == pytest.approx(right)
    assert "unions" in eas("evaluate", "--images", drawings, "--bundle", bundle, "--budgets", "2").stdout


def test_export_auto_writes_a_folder(eas, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    result = eas("export", "auto", "1M", "2.5M", "-o", tmp_path / "new", "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report["files"]) == {"router", *SUPERCLASSES}
    assert all(file["proof"]["error"] < 1e-4 for file in report["files"].values())
    manifest = json.loads((tmp_path / "new" / MANIFEST).read_text())
    assert list(manifest["superclasses"]["birds"]["networks"]) == ["budget_1_00M", "budget_2_50M"]
    printed = eas("export", "auto", "1M", "-o", tmp_path / "new", "--bundle", bundle, "--format", ".onnx").stdout
    assert "router.onnx" in printed


def test_export_of_a_union(eas, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    assert eas("export", "birds,tools", "2M", "--bundle", bundle).exit_code == 0
    assert (tmp_path / "birds+tools.tflite").is_file()


ODD = {"véhicules": ("auto", "all", "vélo"), "salt, pepper": ("salt", "a,b", "mill")}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of names that are words of ours, hold commas, and are written in one of Unicode's two ways."""
    names = {nfd(task): tuple(map(nfd, labels)) for task, labels in ODD.items()}
    return random_bundle(tmp_path_factory.mktemp("odd"), names)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("auto,", ["auto"]),
        ("vélo", ["vélo"]),
        ("véhicules", ODD["véhicules"]),
        ("a,b", ["a,b"]),
        ("a,b,vélo", ["a,b", "vélo"]),
        ("salt, pepper", ODD["salt, pepper"]),
        ("all", [label for labels in ODD.values() for label in labels]),
    ],
)
def test_every_name_can_be_written(eas, odd: Path, task: str, labels: list[str]) -> None:
    result = eas("specialize", task, "100%", "--bundle", odd, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["labels"] == list(map(nfd, labels))


def test_a_class_called_auto_does_not_catch_the_word(eas, odd: Path, images: list[Path]) -> None:
    report = json.loads(eas("predict", images[0], "--bundle", odd, "--json").stdout)
    assert report["task"] == "auto"
    assert "superclass" in report["predictions"][0]
    assert report["architecture"] is None, "a router, and a network for each superclass"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_images_and_tasks_are_found_whatever_form_their_names_have(
    eas, odd: Path, images: list[Path], tmp_path: Path, form: str
) -> None:
    for task, labels in ODD.items():
        for label in labels:
            place = tmp_path / unicodedata.normalize(form, task) / unicodedata.normalize(form, f"{label}.png")
            place.parent.mkdir(exist_ok=True)
            shutil.copy(images[0], place)
    named = ["--tasks", "salt, pepper,véhicules", "--tasks", "véhicules"]
    result = eas("evaluate", "--bundle", odd, "--images", tmp_path, *named, "--budgets", 2, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"] == {nfd("véhicules"): 3, "salt, pepper": 3}


@pytest.mark.parametrize("budgets", [["1M,2M"], ["1M", "2M"], ["1M, 2M", "1M"]])
def test_commas_separate_budgets_in_every_command(eas, bundle: Path, tmp_path: Path, budgets: list[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    made = eas("export", "birds", *budgets, "-o", tmp_path / "birds.tflite", "--bundle", bundle, "--json")
    assert made.exit_code == 0, made.output
    assert len(json.loads(made.stdout)["networks"]) == 2
    options = ["--engines", "numpy", "--runs", 1, "--bundle", bundle, "--json"]
    rows = json.loads(eas("bench", "--budgets", ",".join(budgets), *options).stdout)["rows"]
    assert [row["budget"] for row in rows] == ["1M", "2M"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["specialize", "birds", "1M,2M"], "several budgets are several texts"),
        (["predict", "x.png", "--budget", "1M,2M"], "several budgets are several texts"),
        (["export", "birds", "8,5M"], "a point before decimals"),
        (["export", "birds", "1M", "12,345,678"], "a point before decimals"),
        (["bench", "--budgets", "8,5M"], "a point before decimals"),
        (["export", "birds", "1M and 2M"], "one bound of each unit"),
    ],
)
def test_budgets_that_are_none_are_told(eas, bundle: Path, words: list[str], part: str) -> None:
    result = eas(*words, "--bundle", bundle)
    assert result.exit_code == 2
    assert part in result.stderr
