"""Where bundles are: those that come with the package, by name; others by file, or by the folder of their training."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eas_sdk.errors import BundleError

SHIPPED = ("photos", "emoji")
"""Their names; the first is loaded where none is named."""

OF_A_TRAINING = "bundle.safetensors"
"""What a training leaves in its folder."""


@contextmanager
def bundle_file(given: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """The file of a bundle: of a shipped one by its name, of the first by default; else `given` is its path, or the
    folder of the training that made it.

    Where the package is a zip (Chaquopy) a shipped file is there for the time of the context.

    Raises:
        BundleError: it is a folder without a bundle.
    """
    name = SHIPPED[0] if given is None else os.fspath(given)
    if name not in SHIPPED:  # "./emoji" is a file of yours
        path = Path(name)
        if path.is_dir():
            path /= OF_A_TRAINING
            if not path.is_file():
                raise BundleError(
                    f"a bundle is a file, or the folder of a training that is done, which holds {OF_A_TRAINING}; "
                    f"{name} is a folder and holds none"
                )
        yield path
        return
    with importlib.resources.as_file(importlib.resources.files("eas_sdk") / "assets" / f"{name}.safetensors") as file:
        yield file
