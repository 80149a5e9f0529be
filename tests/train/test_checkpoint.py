"""Checkpoints: whole or refused, of this training or refused, and never run as code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train.checkpoint import load, save  # noqa: E402


def state(seed: int = 0) -> dict[str, Any]:
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(seed))
    return {"recipe": "r", "net": {"a": values}, "optimizer": {"state": {0: {"m": values[0]}}}, "step": 3}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "x.pt"
    assert load(path, recipe="r") is None
    save(path, state())
    loaded = load(path, recipe="r")
    assert loaded is not None
    assert torch.equal(loaded["net"]["a"], state()["net"]["a"])
    assert loaded["step"] == 3


def test_a_failed_save_leaves_the_old_checkpoint_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    save(path, state())
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save(path, {"recipe": "r", "function": lambda: None})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save(path, state(1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save(path, state())
    with pytest.raises(TrainingError, match=r"x\.pt belongs to another recipe"):
        load(path, recipe="s")
    torch.save([1, 2], path)
    with pytest.raises(TrainingError, match="another recipe"):
        load(path, recipe="r")


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save(path, {"recipe": "r", "step": 3})
    loaded = load(path, recipe="r")
    assert loaded is not None
    assert (loaded["step"], loaded.get("net"), dict(loaded)) == (3, None, {"recipe": "r", "step": 3})
    with pytest.raises(TrainingError, match=r"x\.pt lacks 'net': .*delete it to start afresh"):
        loaded["net"]


@pytest.mark.parametrize("part", [0, 1, 4, 100, 0.3, 0.6, 0.95, -1])
def test_a_cut_file_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "x.pt"
    save(path, state())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole)) if 0 < part < 1 else int(part)])
    with pytest.raises(TrainingError, match=r"x\.pt is not a readable checkpoint"):
        load(path, recipe="r")


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save(path, state())
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            loaded = load(path, recipe="r")
        except TrainingError:
            refused += 1
        else:
            assert loaded is not None
            assert torch.equal(loaded["net"]["a"], state()["net"]["a"])
            assert loaded["step"] == 3
    assert refused > len(whole) // 10


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made by the checkpoint"
    path = tmp_path / "x.pt"
    evil = {"recipe": "r", "step": Malicious(target)}
    torch.save(evil, path)
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        load(path, recipe="r")
    path.write_bytes(pickle.dumps(evil))
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        load(path, recipe="r")
    assert not target.exists()
    pickle.loads(pickle.dumps(evil))  # the trap itself works
    assert target.exists()


def test_a_file_that_may_not_be_read_is_reported_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "x.pt"
    folder.mkdir()
    with pytest.raises(OSError, match=r"x\.pt"):
        load(folder, recipe="r")
