"""Pinned npm packages: fetched through the npm client, verified by SHA-512, read without extraction."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data.files import digest_of
from eas_train.data.styles import Package

TIMEOUT_S = 900
PARTIAL = ".partial-"
MAX_MEMBER_BYTES = 512 * 1024 * 1024  # the largest real one, fluent-emoji's icons.json, has 104 MB


def fetch(package: Package, folder: Path) -> Path:
    """The verified tarball of `package` in `folder`; runs `npm pack` unless it is already there.

    npm writes into a temporary folder, and the tarball is renamed into place once its SHA-512 matches the
    pin, so that a killed fetch leaves nothing that a later one would trust.

    Raises:
        MissingDependency: where there is no npm on PATH.
        DataError: where npm fails or what it brought does not match the pin.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the cache folder {folder} cannot be made: {error.strerror}") from None
    target = tarball_path(package, folder)
    if target.is_file() and integrity_of(target) == package.integrity:
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependency(
            f"fetching {package.name} needs the npm client, and there is no `npm` on PATH; install Node.js, "
            f"or copy the tarball of version {package.version} to {target}"
        )
    _remove_leftovers(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=PARTIAL, ignore_cleanup_errors=True) as partial:
        spec = f"{package.name}@{package.version}"
        _npm_pack(npm, spec, Path(partial))
        tarballs = sorted(Path(partial).glob("*.tgz"))
        if len(tarballs) != 1:
            raise DataError(f"`npm pack {spec}` must leave one .tgz, it left {len(tarballs)}")
        found = integrity_of(tarballs[0])
        if found != package.integrity:
            raise DataError(f"{spec} does not match its pin: got {found}, expected {package.integrity}")
        with tarballs[0].open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(tarballs[0], target)
    return target


def tarball_path(package: Package, folder: Path) -> Path:
    """Where `fetch` keeps the tarball of `package`."""
    flat = package.name.lstrip("@").replace("/", "-")
    return folder / f"{flat}-{package.version}.tgz"


def integrity_of(path: Path) -> str:
    """npm's integrity string of a file: `sha512-` and the base64 of its SHA-512."""
    return "sha512-" + base64.b64encode(digest_of(path, "sha512")).decode()


def read_json(tarball: Path, member: str) -> Any:
    """Parse one JSON file of a tarball, by its full name there; nothing is written to disk.

    Raises:
        DataError: where the tarball cannot be read, lacks the file, or the file is not JSON.
    """
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            info = archive.getmember(member)
            file = archive.extractfile(info) if info.isfile() else None
            if file is None:
                raise DataError(f"{member} in {tarball} is not a regular file")
            if info.size > MAX_MEMBER_BYTES:
                raise DataError(f"{member} in {tarball} has {info.size} bytes; at most {MAX_MEMBER_BYTES} are read")
            return json.loads(file.read())
    except DataError:
        raise
    except KeyError:
        raise DataError(f"{tarball} has no file {member}") from None
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
        raise DataError(f"{member} of {tarball} cannot be read: {error}") from None


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed fetches left; a folder younger than npm's time limit may belong to a running one."""
    for partial in folder.glob(PARTIAL + "*"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > 2 * TIMEOUT_S:
                shutil.rmtree(partial)


def _npm_pack(npm: str, spec: str, folder: Path) -> None:
    command = [npm, "pack", spec, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"`npm pack {spec}` did not finish within {TIMEOUT_S} s") from None
    except OSError as error:
        raise DataError(f"`npm pack {spec}` could not be started: {error}") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
        # npm ends with a pointer to its log file; the reason stands before it.
        lines = [line for line in lines if line and "complete log of this run" not in line]
        reason = lines[-1] if lines else "no message"
        raise DataError(f"`npm pack {spec}` failed with exit status {done.returncode}: {reason}")
