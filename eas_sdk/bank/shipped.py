"""The bundles that come with the package, by name."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHIPPED = ("emoji",)
"""Their names; the first is loaded where none is named."""


@contextmanager
def bundle_file(given: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """The file of a bundle: of a shipped one by its name, of the first by default; else `given` is its path.

    Where the package is a zip (Chaquopy) a shipped file is there for the time of the context.
    """
    name = SHIPPED[0] if given is None else os.fspath(given)
    if name not in SHIPPED:  # "./emoji" is a file of yours
        yield Path(name)
        return
    with importlib.resources.as_file(importlib.resources.files("eas_sdk") / "assets" / f"{name}.safetensors") as file:
        yield file
