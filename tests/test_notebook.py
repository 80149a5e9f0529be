"""The notebook of the examples: its cells run one after another, on a few tiny photos."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from recipes import TINY

import eas_sdk

pytest.importorskip("torch")

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "own_photos.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def execute(cell: dict[str, Any], names: dict[str, Any]) -> Any:
    """Run a cell's code; what its last line is worth, as a notebook shows it."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


def test_the_notebook_holds_nothing_of_a_machine() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert NOTEBOOK.stat().st_size < 5000


def test_the_notebook_trains_shows_predicts_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("duck", "owl"):
        (tmp_path / "my_photos" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my_photos" / name / f"{i}.jpg")
    Path("tiny.toml").write_text(TINY)
    names: dict[str, Any] = {}
    shown = []
    for cell in cells():
        if cell["cell_type"] == "code":
            shown.append(execute(cell, names))
            if "parameters" in cell["metadata"].get("tags", ()):
                names["options"] = {"recipe": "tiny.toml", "device": "cpu"}
    _, report, (photo, top), exported = shown
    html = report._repr_html_()
    assert "<table" in html
    assert html.count("<img") >= 2
    assert photo.name == "0.jpg"
    assert {label for label, _ in top} == {"duck", "owl"}
    assert Path("my_photos.tflite").stat().st_size > 0
    assert "my_photos.tflite" in repr(exported)
    assert eas_sdk.load("runs/my_photos").tasks == ("my_photos",)
