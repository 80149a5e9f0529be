"""Tarballs, a stand-in for the npm client that serves them, and small drawn images."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eas_train.data.packages import integrity_of
from eas_train.data.styles import Package

# What `npm pack <spec> --ignore-scripts --pack-destination <folder>` does, from a local folder. The variable
# FAKE_NPM says how it goes wrong; each call is one line of `calls`.
FAKE_NPM = """\
#!{python}
import os, pathlib, shutil, signal, sys
here = pathlib.Path(__file__).parent
command, spec = sys.argv[1:3]
folder = pathlib.Path(sys.argv[sys.argv.index("--pack-destination") + 1])
with open(here / "calls", "a") as calls:
    calls.write(command + " " + spec + "\\n")
mode = os.environ.get("FAKE_NPM", "")
if mode == "fail":
    sys.stderr.write("npm error code E404\\nnpm error 404 no such package\\n")
    sys.stderr.write("npm error A complete log of this run can be found in: x.log\\n")
    sys.exit(1)
served = here / (spec.replace("/", "+") + ".tgz")
name = spec.lstrip("@").replace("/", "-").replace("@", "-") + ".tgz"
if mode == "nothing":
    sys.exit(0)
if mode == "killed":
    (folder / name).write_bytes(served.read_bytes()[:100])
    os.kill(os.getppid(), signal.SIGKILL)
    sys.exit(1)
shutil.copy(served, folder / name)
print(name)
"""


class Npm:
    """A folder with a stand-in `npm`, which serves the packages given to `publish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        program = folder / "npm"
        program.write_text(FAKE_NPM.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def publish(self, name: str, files: dict[str, Any], version: str = "1.0.0") -> Package:
        """Serve a package of JSON files, and return its pin."""
        path = self.folder / (f"{name}@{version}".replace("/", "+") + ".tgz")
        with tarfile.open(path, "w:gz") as archive:
            for member, content in files.items():
                data = json.dumps(content).encode()
                info = tarfile.TarInfo(f"package/{member}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return Package(name, version, integrity_of(path))

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture(autouse=True)
def no_real_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own cache out of reach, even where the code under test forgets its argument."""
    monkeypatch.setenv("EAS_CACHE", str(tmp_path / "default-cache"))


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """The only `npm` on PATH."""
    if os.name != "posix":
        pytest.skip("the stand-in for npm is a script that needs a POSIX system")
    served = Npm(tmp_path / "npm-bin")
    monkeypatch.setenv("PATH", str(served.folder))
    monkeypatch.delenv("FAKE_NPM", raising=False)
    return served


@pytest.fixture
def without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Call it to leave no npm on PATH."""
    return lambda: monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
