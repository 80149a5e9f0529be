"""Predicting and exporting reach no network, start no program, and leave in the user's home nothing but our cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import random_bundle

PROGRAM = """
import sys
import numpy as np
import eas_sdk
kind, what, bundle, out = sys.argv[1:]


def watch(event, arguments):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"):
        raise SystemExit(f"{event} {arguments}")


sys.addaudithook(watch)
runtime = eas_sdk.load(bundle)
if kind == "engine":
    model = runtime.specialize("birds", "2M", engine=what)
    model.predict(np.zeros((1, model.input_size, model.input_size, 3), np.uint8))
else:
    runtime.specialize("birds", "2M").export(out + "/birds" + what)
"""
NEEDS = {"litert": "ai_edge_litert", "onnxruntime": "onnxruntime", ".tflite": "ai_edge_litert", ".onnx": "onnx"}


def usable_strace() -> str | None:
    """Where it is installed and may trace."""
    found = shutil.which("strace")
    allowed = found and subprocess.run([found, "-qq", "true"], capture_output=True, check=False).returncode == 0
    return found if allowed else None


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("engine", "numpy"),
        ("engine", "auto"),
        ("engine", "litert"),
        ("engine", "onnxruntime"),
        ("export", ".tflite"),
        ("export", ".onnx"),
    ],
)
def test_nothing_is_sent_or_started_or_left_in_the_home(kind: str, what: str, tmp_path: Path) -> None:
    if what in NEEDS:
        pytest.importorskip(NEEDS[what])
    bundle = random_bundle(tmp_path)
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    hidden = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "EAS_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(home)}
    command = [sys.executable, "-c", PROGRAM, kind, what, str(bundle), str(out)]
    trace = tmp_path / "trace"
    if strace := usable_strace():
        command = [strace, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace), *command]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {path for path in left if not path.startswith(".cache/eas_sdk/")} == set()
    if strace:
        assert re.findall(r"AF_INET6?|AF_NETLINK|/nscd/", trace.read_text()) == []
