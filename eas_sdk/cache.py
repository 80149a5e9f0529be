"""Where this package keeps what it has measured on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$EAS_CACHE_DIR, else $XDG_CACHE_HOME/eas_sdk, else ~/.cache/eas_sdk. It need not exist.

    Raises:
        RuntimeError: the user has no home folder.
    """
    folder = os.environ.get("EAS_CACHE_DIR")
    if folder:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eas_sdk"
