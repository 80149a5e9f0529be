"""Where this package keeps what it has measured on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import InputError


def cache_folder() -> Path:
    """$EAS_CACHE_DIR, else $XDG_CACHE_HOME/eas_sdk, else ~/.cache/eas_sdk. It need not exist.

    Raises:
        InputError: neither of the two is set, and the user has no home folder.
    """
    folder = os.environ.get("EAS_CACHE_DIR")
    if folder:
        return Path(folder)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eas_sdk"
    except RuntimeError:
        raise InputError(
            "what is measured is kept in EAS_CACHE_DIR or the home folder; this user has neither"
        ) from None
