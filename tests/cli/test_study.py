"""`eas study`, on a study of a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from train.test_study import RECIPE, STUDY, draw_images


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One supernet, one seed, two methods, and images for them."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    text = STUDY.format(recipe=(tmp_path / "recipe.toml").as_posix())
    text = text.replace("seeds = [0, 1]", "seeds = [0]")
    head, *methods = text.split("[[methods]]")
    (tmp_path / "mine.toml").write_text("[[methods]]".join([head, methods[0], methods[2]]))
    draw_images(tmp_path / "images")
    return tmp_path / "mine.toml"


def test_a_study_prints_its_tables_and_leaves_a_report(eas, config: Path, tmp_path: Path) -> None:
    arguments = ("study", config, "--data", tmp_path / "images", "--out", tmp_path / "out", "--device", "cpu")
    result = eas(*arguments)
    assert result.exit_code == 0, result.output
    for part in ("Averages over budgets", "By budget", "Cost of one run", "Random", str(tmp_path / "out")):
        assert part in result.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    again = eas(*arguments, "--json")
    found = json.loads(again.stdout)
    assert found.pop("folder") == str(tmp_path / "out")
    assert found == json.loads((tmp_path / "out" / "results.json").read_text())


def test_an_unknown_study_is_told_in_one_line(eas, tmp_path: Path) -> None:
    result = eas("study", "emojy", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "emojy" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
