"""`eas export --calibrate-on`: a folder of pictures as folders of people are, with more in it than pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert")


def calibrated(eas, bundle: Path, folder: Path, out: Path) -> bytes:
    """An int8 file whose scales come from the pictures of a folder."""
    given = ("--precision", "int8", "--calibrate-on", folder, "--keep", "--bundle", bundle)
    done = eas("export", "birds", "1M", "-o", out, *given)
    assert done.exit_code == 0, done.output
    return out.read_bytes()


def test_what_is_no_picture_of_the_user_s_is_passed_over(eas, bundle: Path, drawings: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "birds.tflite"
    shutil.copytree(drawings / "birds", folder / "birds")
    alone = calibrated(eas, bundle, folder, out)
    (folder / "birds" / "._duck.png").write_bytes(b"\0\5\x16\7 what macOS leaves beside a file")
    shutil.copytree(drawings / "tools", folder / ".ipynb_checkpoints")
    assert calibrated(eas, bundle, folder, out) == alone
    shutil.copytree(drawings / "tools", folder / "tools")
    assert calibrated(eas, bundle, folder, out) != alone, "those of a folder that is not hidden count"


def test_a_broken_picture_is_named(eas, bundle: Path, drawings: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "birds.tflite"
    shutil.copytree(drawings / "birds", folder)
    whole = (folder / "duck.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    given = ("--precision", "int8", "--calibrate-on", folder, "--bundle", bundle)
    done = eas("export", "birds", "1M", "-o", out, *given)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert str(folder / "half.png") in line
    assert not out.exists()
