"""Two trainings do not share a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("filelock")

from eas_sdk.errors import TrainingError
from eas_train.lock import only_one

HOLD = """
import pathlib, sys
from eas_train.lock import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_until_its_process_ends_however_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match=r"another process trains in .*mine"), only_one(folder):
            pass
        process.kill()
    with only_one(folder), only_one(tmp_path / "other"):
        pass
    with only_one(folder):
        pass
