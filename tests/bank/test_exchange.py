"""Putting folders and files in another's place: whatever happens on the way, one of the two is there, whole."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eas_sdk.bank import exchange
from eas_sdk.bank.exchange import put

PROGRAM = """
import importlib.util, os, sys
from pathlib import Path
file, made, target, left, exchanges = sys.argv[1:]
spec = importlib.util.spec_from_file_location("exchange", file)  # without the package, which takes longer to load
exchange = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exchange)
left = int(left)
if exchanges == "no":
    exchange._exchanged = lambda one, other: False


def watch(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "os.scandir", "os.listdir"):
        if not left:
            os._exit(9)
        left -= 1


sys.addaudithook(watch)
exchange.put(Path(made), Path(target))
"""


def folder(path: Path, text: str) -> Path:
    for name in ("a", "deep/b", "deep/er/c"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def texts(path: Path) -> set[str]:
    return {f"{f.relative_to(path)}: {f.read_text()}" for f in path.rglob("*") if f.is_file()}


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_another_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    if not exchanges:
        monkeypatch.setattr(exchange, "_exchanged", lambda one, other: False)
    new, old = folder(tmp_path / "new", "new"), folder(tmp_path / "old", "old")
    expected = texts(new)
    put(new, old)
    assert texts(old) == expected
    assert list(tmp_path.iterdir()) == [old]
    put(old, tmp_path / "elsewhere")
    assert texts(tmp_path / "elsewhere") == expected
    assert list(tmp_path.iterdir()) == [tmp_path / "elsewhere"]


@pytest.mark.parametrize("exchanges", ["yes", "no"])
def test_a_kill_at_any_moment_leaves_one_of_them_whole(tmp_path: Path, exchanges: str) -> None:
    killed, code = 0, 9
    while code == 9:
        place = tmp_path / str(killed)
        new, old = folder(place / "new", "new"), folder(place / "old", "old")
        whole = [texts(new), texts(old)]
        command = [sys.executable, "-IS", "-c", PROGRAM, exchange.__file__, str(new), str(old), str(killed), exchanges]
        code = subprocess.run(command, check=False).returncode
        if exchanges == "yes" and sys.platform in ("linux", "darwin"):
            assert texts(old) in whole
        assert any(texts(left) in whole for left in place.iterdir())
        killed += 1
    assert code == 0
    assert killed > 5


@pytest.fixture
def anyone() -> Iterator[Path]:
    """A folder, and no more rights than its owner has: to root nothing is read-only."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if root:
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such folders")
def test_read_only_folders_are_replaced_too(anyone: Path) -> None:
    new, old = folder(anyone / "new", "new"), folder(anyone / "old", "old")
    expected = texts(new)
    (old / "deep").chmod(0o500)
    with pytest.raises(PermissionError):
        (old / "deep" / "b").unlink()
    put(new, old)
    assert texts(old) == expected
    assert list(anyone.iterdir()) == [old]
