"""Files that are no files: pipes without a writer and devices without an end are refused wherever a file is named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eas_sdk
from eas_sdk.cache import cache_folder
from eas_sdk.cli.imports import read_labels
from eas_sdk.device.policy import Policy
from eas_sdk.device.power import PowerTable
from eas_sdk.errors import InputError
from eas_sdk.latency import table

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")


@posix
@pytest.mark.parametrize("read", [table.read, Policy.read, PowerTable.read, read_labels])
@pytest.mark.parametrize("name", ["pipe", "zero"])
def test_a_pipe_or_device_in_place_of_a_file_is_refused(tmp_path: Path, read: Callable[..., Any], name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="must be a regular file, not a pipe or device") as caught:
        read(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)


def test_a_folder_or_nothing_is_told_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        table.read(tmp_path / "absent")
    with pytest.raises((IsADirectoryError, PermissionError)):
        table.read(tmp_path)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home, as the id of a container that no passwd knows."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("EAS_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_is_told_and_may_use_everything_else() -> None:
    with pytest.raises(InputError, match="EAS_CACHE_DIR"):
        cache_folder()
    runtime = eas_sdk.load()
    assert runtime.specialize("birds", "50%", engine="auto").madds
    with pytest.raises(InputError):
        runtime.specialize("birds", "12ms")
