"""Putting a file or a folder where another one is, so that its path holds the old one or the new one, whole.

A folder does not replace a folder by a rename. Linux and macOS exchange two in one step, which Python's library cannot;
elsewhere the old one steps aside first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

AT_FDCWD = -100
EXCHANGE = 2
"""RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS."""


def put(made: Path, target: Path) -> None:
    """Give `made` the name `target`, and remove what had it: a file for a file, a folder for a folder, or nothing.

    Args:
        made: on the same file system as `target`.

    Raises:
        OSError: it cannot be done; `target` is as it was.
    """
    import secrets  # these two would add milliseconds to `import eas_sdk`
    import shutil

    if not target.is_dir():
        os.replace(made, target)
        return
    for folder, _, _ in os.walk(target):
        if (mode := os.stat(folder).st_mode) & 0o300 != 0o300:  # nothing could be removed from it
            os.chmod(folder, mode | 0o700)
    if not _exchanged(made, target):
        aside = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
        os.rename(target, aside)
        try:
            os.rename(made, target)
        except BaseException:
            os.rename(aside, target)
            raise
        os.rename(aside, made)  # whoever is killed from here on leaves what was to be removed where `made` was
    shutil.rmtree(made)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system knows how to give two paths each other's name, and has."""
    import ctypes

    if os.name != "posix":
        return False
    library, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, ctypes.c_uint(EXCHANGE)) == 0)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], ctypes.c_uint(EXCHANGE)) == 0)
    return False
