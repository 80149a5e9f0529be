"""`eas evaluate` and `eas demo`: figures over labelled images, and the picture."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import SUPERCLASSES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import eas_sdk
from eas_sdk.cli.evaluate import bootstrap_interval
from eas_sdk.cli.picture import RIGHT, WRONG, Answer, Panel, Strip, render
from eas_sdk.image_file import read_image

ROOT = Path(__file__).resolve().parents[2]
GREEN, RED = (tuple(bytes.fromhex(colour[1:])) for colour in (RIGHT, WRONG))


def accuracy(runtime: eas_sdk.Runtime, drawings: Path, task: str, budget: int) -> float:
    """Top-1 of the network for a task and a budget, by the API."""
    labels = runtime.labels(task)
    images = [read_image(drawings / task / f"{label}.png") for label in labels]
    predictions = runtime.specialize(task, budget).predict(images)
    return float(np.mean([p.label == label for p, label in zip(predictions, labels, strict=True)]))


def test_evaluate_measures_what_the_api_predicts(eas, bundle: Path, drawings: Path) -> None:
    result = eas("evaluate", "--bundle", bundle, "--images", drawings, "--budgets", 3, "--json")
    report = json.loads(result.stdout)
    runtime = eas_sdk.load(bundle)
    assert report["images"] == {task: len(labels) for task, labels in SUPERCLASSES.items()}
    assert [level["budget_fraction"] for level in report["levels"]] == [0, 0.5, 1]
    for level in report["levels"]:
        budgets = {}
        for task in runtime.tasks:
            low, high = runtime.budget_range(task)
            budgets[task] = int(low + level["budget_fraction"] * (high - low))
        wanted = {task: accuracy(runtime, drawings, task, budget) for task, budget in budgets.items()}
        assert level["top1_by_superclass"] == wanted
        assert level["top1"] == pytest.approx(np.mean(list(wanted.values())))
        models = [runtime.specialize(task, budget) for task, budget in budgets.items()]
        assert level["mean_madds"] == pytest.approx(np.mean([model.madds for model in models]), abs=1)
        low_end, high_end = level["top1_interval_95"]
        assert low_end <= level["top1"] <= high_end


def test_evaluate_prints_levels_and_tasks(eas, bundle: Path, drawings: Path) -> None:
    text = eas("evaluate", "--bundle", bundle, "--images", drawings, "--budgets", 2).stdout
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert [row[0] for row in rows if row[0] in SUPERCLASSES] == list(SUPERCLASSES)
    assert [row[0] for row in rows if row[0] in ("0%", "100%")] == ["0%", "100%"]


def test_folders_of_several_images_a_label(eas, bundle: Path, drawings: Path, tmp_path: Path) -> None:
    for label in SUPERCLASSES["birds"]:
        (tmp_path / "birds" / label).mkdir(parents=True)
        for name in ("a.PNG", "b.png", ".hidden.png", "notes.txt"):
            shutil.copy(drawings / "birds" / f"{label}.png", tmp_path / "birds" / label / name)
    options = ("--bundle", bundle, "--budgets", 2, "--tasks", "birds", "--json")
    once = json.loads(eas("evaluate", "--images", drawings, *options).stdout)
    twice = json.loads(eas("evaluate", "--images", tmp_path, *options).stdout)
    assert (once["images"], twice["images"]) == ({"birds": 3}, {"birds": 6})
    assert [level["top1"] for level in once["levels"]] == [level["top1"] for level in twice["levels"]]


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("brids/owl.png", ["'brids'", "did you mean 'birds'?"]),
        ("birds/oul.png", ["'oul'", "did you mean 'owl'?"]),
        ("birds/oul/1.png", ["'oul'", "did you mean 'owl'?"]),
        ("birds/owl.png", ["owl.png", "image"]),
        ("birds/owl.txt", ["holds none"]),
    ],
)
def test_a_folder_of_images_that_does_not_fit(eas, bundle: Path, tmp_path: Path, path: str, parts: list[str]) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("no image")
    result = eas("evaluate", "--bundle", bundle, "--images", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    for part in (str(tmp_path), *parts):
        assert part in result.stderr


def test_a_named_task_must_have_images(eas, bundle: Path, drawings: Path, tmp_path: Path) -> None:
    shutil.copytree(drawings / "birds", tmp_path / "birds")
    result = eas("evaluate", "--bundle", bundle, "--images", tmp_path, "--tasks", "tools")
    assert result.exit_code == 2
    assert str(tmp_path / "tools") in result.stderr


hits = st.lists(st.lists(st.booleans(), min_size=1, max_size=40).map(np.array), min_size=1, max_size=5)


@given(hits)
def test_the_interval_contains_the_mean_and_stays_in_range(groups: list[np.ndarray]) -> None:
    low, high = bootstrap_interval(groups)
    mean = np.mean([group.mean() for group in groups])
    assert -1e-9 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1 + 1e-9


def test_the_interval_is_the_bootstrap_over_images_in_each_task() -> None:
    rng = np.random.default_rng(5)
    groups = [rng.random(n) < p for n, p in ((20, 0.9), (40, 0.5), (30, 0.7))]
    means = np.mean([[rng.choice(g, len(g)).mean() for _ in range(4000)] for g in groups], axis=0)
    assert bootstrap_interval(groups) == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.01)
    wide = bootstrap_interval([group[::4] for group in groups])
    assert wide[1] - wide[0] > 1.5 * (bootstrap_interval(groups)[1] - bootstrap_interval(groups)[0])


def test_demo_prints_figures_and_writes_a_picture(eas, bundle: Path, drawings: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo.png"
    arguments = ("demo", "--bundle", bundle, "--images", drawings, "--out", out)
    report = json.loads(eas(*arguments, "--json").stdout)
    runtime = eas_sdk.load(bundle)
    assert [row["task"] for row in report["rows"]] == [task for task in SUPERCLASSES for _ in range(3)]
    for task in SUPERCLASSES:
        rows = [row for row in report["rows"] if row["task"] == task]
        low, high = runtime.budget_range(task)
        assert [row["budget_madds"] for row in rows] == [low, (low + high) // 2, high]
        for row in rows:
            assert row["madds"] <= row["budget_madds"]
            assert row["accuracy"] == accuracy(runtime, drawings, task, row["budget_madds"])
    assert [level["budget_madds"] for level in report["budgets"]] == [
        pytest.approx(x, abs=1.5) for x in np.linspace(*runtime.budget_range("all"), 7)
    ]
    for level in report["budgets"]:
        model = runtime.specialize("all", level["budget_madds"])
        hits = [
            model.predict(read_image(drawings / task / f"{label}.png")[None])[0].label == label
            for task, labels in SUPERCLASSES.items()
            for label in labels
        ]
        assert (level["madds"], level["images"]) == (model.madds, len(hits))
        assert level["accuracy"] == pytest.approx(np.mean(hits))
        assert level["accuracy"] <= level["accuracy_within_task"] <= 1
    assert report["attribution"] == "Patches by numpy, public domain."
    assert os.listdir(tmp_path) == ["demo.png"]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        colours = {colour for _, colour in picture.getcolors(1 << 24)}
    assert GREEN in colours
    assert RED in colours

    text = eas(*arguments).stdout
    assert str(out) in text
    assert "Patches by numpy" in text
    assert text.count("birds") == 3
    assert "top-1 within the task" in text


def test_demo_takes_tasks_that_lie_apart_and_writes_into_the_current_folder(
    eas, bundle: Path, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = eas("demo", "--bundle", bundle, "--images", drawings, "--tasks", "tools, birds", "--json")
    assert {row["task"] for row in json.loads(result.stdout)["rows"]} == {"birds", "tools"}
    assert os.listdir(tmp_path) == ["eas_demo.png"]


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_picture_that_cannot_be_written_leaves_the_old_one(bundle: Path, drawings: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo.png"
    out.write_bytes(b"the old picture")
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from eas_sdk.cli import main; main()"
    )
    command = [sys.executable, "-B", "-c", limited, "demo", "--bundle", str(bundle), "--images", str(drawings)]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {out}: ")
    assert out.read_bytes() == b"the old picture"
    assert os.listdir(tmp_path) == ["demo.png"]


@pytest.mark.parametrize("title", ["budget 12.34M: a network of 12.34M multiply-adds", "w" * 500])
def test_the_picture_of_a_single_drawing_is_drawn(title: str) -> None:
    drawing = np.full((64, 64, 3), (10, 20, 30), np.uint8)
    strip = Strip(title, "100% of 1 right, 1.2 ms an image", [Answer("owl", 0.9, True)])
    with Image.open(io.BytesIO(render([Panel("w" * 99, [drawing], [strip])], "whose it is"))) as picture:
        assert picture.width > 500


def test_the_picture_frames_each_drawing_by_its_answer() -> None:
    drawing = np.full((64, 64, 3), (10, 20, 30), np.uint8)
    answers = [Answer("owl", 0.9, True), Answer("a label far too long for a tile of this size", 0.4, False)]
    panel = Panel("birds", [drawing, drawing], [Strip("budget 1M", "50% right", answers)])
    with Image.open(io.BytesIO(render([panel], ""))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    green, red = ((pixels == colour).all(2) for colour in (GREEN, RED))
    drawn = (pixels == (10, 20, 30)).all(2)
    columns = np.flatnonzero(drawn.any(0))
    left, right = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert len(left) == len(right) == drawn.any(1).sum(), "tiles are square"
    row = np.flatnonzero(drawn.any(1))[0]
    assert green[row, left[0] - 1]
    assert green[row, left[-1] + 1]
    assert red[row, right[0] - 1]
    assert red[row, right[-1] + 1]
    assert not red[:, : left[-1] + 2].any()
    assert not green[:, right[0] - 4 :].any()
