"""Fetching pinned packages: once, verified, and clear about what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data import packages
from eas_train.data.packages import fetch, integrity_of, read_json, tarball_path

ROOT = Path(__file__).resolve().parents[2]
ICONS = {"icons.json": {"icons": {"dog": {"body": "<path/>"}}}}


def test_fetches_once_and_reads_without_extraction(npm: Any, tmp_path: Path) -> None:
    package = npm.publish("@iconify-json/fake", ICONS)
    path = fetch(package, tmp_path / "cache")
    assert fetch(package, tmp_path / "cache") == path
    assert npm.calls == ["pack @iconify-json/fake@1.0.0"]
    assert read_json(path, "package/icons.json") == ICONS["icons.json"]
    assert [f.name for f in (tmp_path / "cache").iterdir()] == [path.name]


def test_a_verified_tarball_needs_no_npm(npm: Any, tmp_path: Path, without_npm: Callable[[], None]) -> None:
    package = npm.publish("fake", ICONS)
    path = fetch(package, tmp_path)
    without_npm()
    assert fetch(package, tmp_path) == path


def test_says_that_npm_is_missing(npm: Any, tmp_path: Path, without_npm: Callable[[], None]) -> None:
    package = npm.publish("fake", ICONS)
    without_npm()
    with pytest.raises(MissingDependency, match=r"no `npm` on PATH; install Node\.js"):
        fetch(package, tmp_path)


def test_reports_the_reason_that_npm_gave(npm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = npm.publish("fake", ICONS)
    monkeypatch.setenv("FAKE_NPM", "fail")
    with pytest.raises(DataError, match=r"`npm pack fake@1\.0\.0` failed .* 1: npm error 404 no such package$"):
        fetch(package, tmp_path)
    assert list(tmp_path.glob("*.tgz")) == []


def test_says_that_npm_left_nothing(npm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = npm.publish("fake", ICONS)
    monkeypatch.setenv("FAKE_NPM", "nothing")
    with pytest.raises(DataError, match=r"must leave one \.tgz, it left 0"):
        fetch(package, tmp_path)


def test_refuses_what_does_not_match_the_pin(npm: Any, tmp_path: Path) -> None:
    package = replace(npm.publish("fake", ICONS), integrity="sha512-AAAA")
    with pytest.raises(DataError, match=r"does not match its pin: got sha512-.*, expected sha512-AAAA"):
        fetch(package, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetches_a_damaged_tarball_again(npm: Any, tmp_path: Path) -> None:
    package = npm.publish("fake", ICONS)
    path = fetch(package, tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    assert integrity_of(fetch(package, tmp_path)) == package.integrity
    assert len(npm.calls) == 2


def test_a_fetch_that_was_killed_leaves_nothing_that_is_trusted(
    npm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, cache = npm.publish("fake", ICONS), tmp_path / "cache"
    program = f"""
from pathlib import Path
from eas_train.data.packages import fetch
from eas_train.data.styles import Package
fetch({package!r}, Path({str(cache)!r}))
"""
    environment = {**os.environ, "FAKE_NPM": "killed", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not tarball_path(package, cache).exists()
    leftovers = list(cache.glob(".partial-*"))
    assert len(leftovers) == 1, "the kill came before npm had written"

    assert integrity_of(fetch(package, cache)) == package.integrity
    assert leftovers[0].exists(), "a young leftover may belong to a running fetch"
    tarball_path(package, cache).unlink()
    os.utime(leftovers[0], (0, 0))
    fetch(package, cache)
    assert [f.name for f in cache.iterdir()] == [tarball_path(package, cache).name]


def test_says_that_the_cache_folder_cannot_be_made(npm: Any, tmp_path: Path) -> None:
    package = npm.publish("fake", ICONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the cache folder .*file.* cannot be made"):
        fetch(package, tmp_path / "file" / "cache")


def test_read_json_names_what_is_wrong(npm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(npm.publish("fake", ICONS), tmp_path)
    with pytest.raises(DataError, match=r"has no file package/other\.json"):
        read_json(path, "package/other.json")

    linked = tmp_path / "linked.tgz"
    with tarfile.open(linked, "w:gz") as archive:
        info = tarfile.TarInfo("package/icons.json")
        info.type, info.linkname = tarfile.SYMTYPE, "../../secret"
        archive.addfile(info)
    with pytest.raises(DataError, match="is not a regular file"):
        read_json(linked, "package/icons.json")

    whole = path.read_bytes()
    cut = tmp_path / "cut.tgz"
    for length in range(0, len(whole) // 2, 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.tgz"):
            read_json(cut, "package/icons.json")

    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", 10)
    with pytest.raises(DataError, match="at most 10 are read"):
        read_json(path, "package/icons.json")
