"""Exports on disks that are full, in processes that are killed, and in folders with odd names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import random_bundle

import eas_sdk
from eas_sdk.bank.atomic import TEMPORARY
from eas_sdk.errors import InputError
from eas_sdk.export import SIGNATURE, Options, load_exporter

NEEDS = {".tflite": "ai_edge_litert", ".onnx": "onnx", ".mlpackage": "coremltools"}
FULL = """
import resource, sys
from eas_sdk.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))  # one of a network's files is larger
main()
"""
KILLED = """
import os, sys
from pathlib import Path
from eas_sdk.cli import main


def watch(event, arguments):
    if event == "os.rename" and Path(arguments[1]).parent == out and Path(arguments[1]).suffix != ".tmp":
        os._exit(9)


out = Path(sys.argv.pop(1))
sys.addaudithook(watch)
main()
"""
LOGITS = Options("float32", "uint8", "logits", None, "", ())
LEFT_BY_TORCH = {"torchinductor_root"}
"""Its cache, which is made in the folder of temporary files when torch is imported, as coremltools does."""

posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals of POSIX")
every_kind = pytest.mark.parametrize(("task", "suffix"), [("birds", s) for s in NEEDS] + [("auto", ".tflite")])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"))


def export(program: str, *arguments: object, temporary: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@posix
@every_kind
def test_a_disk_that_is_full_is_told_in_one_line_and_nothing_is_left(
    bundle: Path, tmp_path: Path, task: str, suffix: str
) -> None:
    pytest.importorskip(NEEDS[suffix])
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    out.mkdir()
    temporary.mkdir()
    path = out / (task + suffix if task != "auto" else task)
    done = export(FULL, "export", task, "1M", "-o", path, "--bundle", bundle, temporary=temporary)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: cannot write a file here: ")
    assert "File too large" in line or "coremltools, which writes in" in line
    assert [f for f in out.rglob("*") if f.is_file() or f.name.startswith(".") or f.suffix] == []
    assert set(os.listdir(temporary)) - LEFT_BY_TORCH == set()


@posix
@every_kind
def test_what_a_killed_export_left_is_removed_by_a_later_one(
    bundle: Path, tmp_path: Path, task: str, suffix: str
) -> None:
    pytest.importorskip(NEEDS[suffix])
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    out.mkdir()
    temporary.mkdir()
    given = ("export", task, "1M", "-o", out / f"a{suffix}" if task != "auto" else out, "--bundle", bundle)
    assert export(KILLED, out, *given, temporary=temporary).returncode == 9
    (left,) = out.iterdir()
    assert TEMPORARY.fullmatch(left.name)
    assert any(left.rglob(f"*{suffix}"))
    mine = [out / ".eas-0123456789abcdef.tmp.d", out / f".0123456789abcdef{suffix}"]
    for folder in mine:
        folder.mkdir()
        os.utime(folder, (0, 0))
    model = eas_sdk.load(bundle).specialize("birds", "1M")
    model.export(out / "b.tflite")
    assert left.is_dir(), "it may be about to be locked"
    os.utime(left, (0, 0))
    model.export(out / "b.tflite")
    assert sorted(out.iterdir()) == sorted([*mine, out / "b.tflite"])


def test_errors_name_the_path_that_was_given(bundle: Path, tmp_path: Path) -> None:
    model = eas_sdk.load(bundle).specialize("birds", "1M")
    path = tmp_path / "link.tflite"
    path.symlink_to(tmp_path / "missing" / "real.tflite")
    for given in (tmp_path / "missing" / "a.tflite", path):
        with pytest.raises(FileNotFoundError, match="cannot write a file here: No such file") as caught:
            model.export(given)
        assert caught.value.filename == str(given)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems that take any bytes for a name")
@pytest.mark.parametrize("suffix", NEEDS)
def test_folders_may_have_names_that_are_no_utf_8(bundle: Path, tmp_path: Path, suffix: str) -> None:
    for name in (NEEDS[suffix], "onnxruntime") if suffix == ".onnx" else (NEEDS[suffix],):
        pytest.importorskip(name)
    model = eas_sdk.load(bundle).specialize("birds", "1M")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / f"birds{suffix}"
    if suffix == ".mlpackage":  # coremltools takes no such path
        with pytest.raises(InputError, match=r"names are text in UTF-8; got 'caf\\udce9'"):
            model.export(path)
        assert list(folder.iterdir()) == []
        return
    made = model.export(path, output="logits")
    assert made.proof is not None, made.unproved
    pixels = np.random.default_rng(0).integers(0, 256, (2, model.input_size, model.input_size, 3), np.uint8)
    found = load_exporter(suffix).run(path, SIGNATURE, (pixels / 255).astype(np.float32), LOGITS)
    assert found == pytest.approx(model.reference(pixels), rel=1e-3, abs=1e-3)
