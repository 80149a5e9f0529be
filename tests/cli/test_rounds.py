"""`eas rounds`: a table, JSON and a picture of what NSE did."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from eas_sdk.space.architecture import Architecture, Block
from eas_train.nse.history import Round, write_history
from eas_train.nse.retrieval import Judged

FIRST, SECOND, THIRD = Block(3, 1), Block(5, 2), Block(7, 3)


def judged(text: str, cost: float, accuracy: float) -> Judged:
    return Judged(Architecture.parse(text), cost, accuracy)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small, large = judged("k3e1 | -", 4.5, 0.5), judged("k3e1 k5e2 | k5e2", 8.0, 0.75)
    newer = judged("k3e1 | k7e3", 6.0, 0.875)
    rounds = [
        Round(((FIRST, SECOND),) * 2, ((FIRST, SECOND), (SECOND,)), (small, large), (small, large, newer)),
        Round(((FIRST, THIRD),) * 2, ((FIRST,), (THIRD,)), (newer,), (newer, small)),
    ]
    write_history(tmp_path, "M multiply-adds", rounds)
    return tmp_path


def test_the_rounds_as_a_table_and_as_json(eas, folder: Path) -> None:
    result = eas("rounds", folder)
    assert result.exit_code == 0, result.output
    first, second = result.stdout.strip().splitlines()[-2:]
    assert first.split() == ["1", "4", "3", "3", "2", "4.50", "–", "8.00", "75.0%", "8.00"]
    assert second.split() == ["2", "4", "2", "2", "1", "6.00", "–", "6.00", "87.5%", "6.00"]
    found = json.loads(eas("rounds", folder, "--json").stdout)
    assert found["unit"] == "M multiply-adds"
    assert [one["operations"] for one in found["rounds"]] == [4, 4]
    assert found["rounds"][1]["front"] == [{"architecture": "k3e1 | k7e3", "cost": 6.0, "accuracy": 0.875}]


def test_the_rounds_as_a_picture(eas, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = folder / "rounds.png"
    result = eas("rounds", folder, "--plot", plot)
    assert result.exit_code == 0, result.output
    with Image.open(plot) as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert sorted(os.listdir(folder)) == ["rounds.json", "rounds.png"]


def test_a_folder_without_rounds_is_told(eas, tmp_path: Path) -> None:
    result = eas("rounds", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "rounds.json" in result.stderr
