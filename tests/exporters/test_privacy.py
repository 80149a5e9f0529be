"""Predicting and exporting reach no network, start no program, and write nowhere but where they are told and our cache.

Audit hooks see what Python is asked for; what compiled libraries do on their own shows in the folders afterwards, and
in a trace where strace is installed.
"""

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
import os
import sys
import numpy as np
import eas_sdk
kind, what, bundle, out, *places = sys.argv[1:]

STARTS = "subprocess.Popen os.system os.exec os.spawn os.posix_spawn os.fork os.forkpty pty.spawn".split()
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = "os.mkdir os.rename os.link os.symlink os.remove os.rmdir os.truncate os.chmod os.chown os.utime".split()


def watch(event, arguments):
    if event in STARTS and not (what == ".mlpackage" and arguments[0] == "/sbin/ldconfig"):
        end(event, arguments)
    if event.startswith("socket."):
        end(event, arguments)
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        changed = arguments[:1]
    elif event in CHANGES and not any(isinstance(a, int) and a >= 0 for a in arguments[-1:]):  # below an open folder
        changed = arguments[:2]
    else:
        return
    for path in changed:
        if isinstance(path, (str, bytes, os.PathLike)):
            real = os.path.realpath(os.fsdecode(path))
            if not any(real == place or real.startswith(place + os.sep) for place in places):
                end(event, arguments)


def end(event, arguments):
    os.write(2, f"{event} {arguments}".encode(errors="replace"))
    os._exit(3)


sys.addaudithook(watch)
runtime = eas_sdk.load(bundle)
if kind == "engine":
    model = runtime.specialize("birds", "2M", engine=what)
    model.predict(np.zeros((1, model.input_size, model.input_size, 3), np.uint8))
else:
    runtime.specialize("birds", "2M").export(out + "/birds" + what)
"""
# coremltools imports torch where it is installed. Its builds for CUDA ask ldconfig where libraries are, and it makes a
# cache in the folder of temporary files, of the user's name, which is looked up (by way of nscd, as hosts are).
LEFT_BY_TORCH = {"torchinductor_root"}
NEEDS = {
    "litert": "ai_edge_litert",
    "onnxruntime": "onnxruntime",
    ".tflite": "ai_edge_litert",
    ".onnx": "onnx",
    ".mlpackage": "coremltools",
}


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
        ("export", ".mlpackage"),
    ],
)
def test_nothing_is_sent_or_started_or_written_elsewhere(kind: str, what: str, tmp_path: Path) -> None:
    if what in NEEDS:
        pytest.importorskip(NEEDS[what])
    bundle = random_bundle(tmp_path)
    home, out, temporary = tmp_path / "home", tmp_path / "out", tmp_path / "temporary"
    for folder in (home / ".cache", out, temporary):
        folder.mkdir(parents=True)
    hidden = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "EAS_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    places = (out, temporary, home / ".cache" / "eas_sdk", os.devnull)
    command = [sys.executable, "-c", PROGRAM, kind, what, *map(str, (bundle, out, *places))]
    trace = tmp_path / "trace"
    if strace := usable_strace():
        command = [strace, "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace), *command]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {path for path in left if not path.startswith(".cache/eas_sdk/")} == set()
    assert set(os.listdir(temporary)) - LEFT_BY_TORCH == set()
    assert set(os.listdir(tmp_path)) == {bundle.name, "home", "out", "temporary"} | ({trace.name} if strace else set())
    if strace:
        hosts = r"AF_INET6?|AF_NETLINK" + ("" if what == ".mlpackage" else "|/nscd/")
        assert re.findall(hosts, trace.read_text()) == []
