"""The examples and the README's first lines run, on a bundle of random weights, as a user runs them."""

from __future__ import annotations

import ast
import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from bundles import SUPERCLASSES, random_bundle

import eas_sdk

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"), seed=7)


def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run Python on the given words with warnings as errors, and check the exit code."""
    command = [sys.executable, "-W", "error", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:  # the README exports a file
        done = subprocess.run(command, capture_output=True, cwd=folder, encoding="utf-8", env=environment, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def check_probabilities(line: str, labels: Collection[str] = SUPERCLASSES["birds"]) -> None:
    """Check a line of (label, probability) pairs for the task "birds", most probable first."""
    top = ast.literal_eval(line)
    assert {label for label, _ in top} <= set(labels)
    values = [probability for _, probability in top]
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1) or len(values) < len(labels)


def test_every_example_is_tested_and_listed() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    scripts = {"first_steps.py", "budget_sweep.py", "classify_folder.py", "adaptive.py", "auto.py"}
    assert names == {*scripts, "own_photos.ipynb"}  # which is tested in test_notebook.py
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+\.(?:py|ipynb))\)", text)) == names


def test_the_readme_goes_from_a_task_and_a_budget_to_a_prediction() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert code.count("eas_sdk.load()") == 1
    lines = run("-c", code).stdout.splitlines()
    assert ast.literal_eval(lines[0]) == eas_sdk.load().tasks
    check_probabilities(lines[-1], eas_sdk.load().labels("birds"))


def test_first_steps(bundle: Path) -> None:
    lines = run(EXAMPLES / "first_steps.py", bundle).stdout.splitlines()
    assert ast.literal_eval(lines[0]) == tuple(SUPERCLASSES)
    check_probabilities(lines[-1])


def test_the_adaptive_session_follows_the_battery(bundle: Path) -> None:
    lines = run(EXAMPLES / "adaptive.py", bundle).stdout.splitlines()
    madds = [
        int(re.search(r": (\d+) multiply-adds", line)[1]) for line in lines if line.startswith(("battery", "target"))
    ]
    assert len(madds) == 4
    assert madds[-1] == min(madds) < max(madds)
    assert sum(line.startswith("  switch: ") for line in lines) >= 2


def test_auto_names_the_superclass_of_each_image_and_of_the_scene(bundle: Path) -> None:
    lines = run(EXAMPLES / "auto.py", bundle).stdout.splitlines()
    assert len(lines) == 16
    known = {*SUPERCLASSES, "none"}
    assert {line.split()[0] for line in lines[:8]} <= known
    assert {line.split()[1] for line in lines[8:]} <= known
    assert all(line.startswith("scene: ") for line in lines[8:])


def test_budget_sweep_prints_a_network_within_each_budget(bundle: Path) -> None:
    lines = run(EXAMPLES / "budget_sweep.py", bundle, "--task", "tools").stdout.splitlines()
    rows = [line.split(maxsplit=3) for line in lines[1:]]
    budgets, madds = (np.array([int(row[i].replace(",", "")) for row in rows]) for i in (0, 1))
    assert len(rows) == 6
    assert (np.diff(budgets) > 0).all()
    assert (madds <= budgets).all()
    assert all(float(ms) > 0 and architecture.count(" | ") == 5 for _, _, ms, architecture in rows)


def test_budget_sweep_explains_an_unknown_task_in_one_line(bundle: Path) -> None:
    done = run(EXAMPLES / "budget_sweep.py", bundle, "--task", "brids", code=2)
    assert "did you mean 'birds'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_classify_folder_answers_for_each_image_and_reports_a_damaged_one(bundle: Path, tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a é.png")
    Image.fromarray(pixels[..., :3]).save(tmp_path / "b,c.JPG", "JPEG")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "a é.png").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("no image")
    done = run(EXAMPLES / "classify_folder.py", tmp_path, bundle, "--task", "birds", "--budget", "1M")
    rows = {row["file"]: row for row in csv.DictReader(done.stdout.splitlines())}
    assert list(rows) == ["a é.png", "b,c.JPG", "damaged.png"]
    assert rows["damaged.png"]["error"]
    assert rows["damaged.png"]["label"] == ""
    for name in ("a é.png", "b,c.JPG"):
        assert rows[name]["label"] in SUPERCLASSES["birds"]
        assert 1 / 3 <= float(rows[name]["probability"]) <= 1
        assert rows[name]["error"] == ""
