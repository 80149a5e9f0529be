"""A bundle of the app's own, packed into it at build time."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "bundle.safetensors"
"""The file's name, in this folder; it need not be there."""


@contextmanager
def own_bundle() -> Iterator[str | None]:
    """Path of the bundle that was packed into the app, for the time of the context; None: the SDK's own is meant."""
    packed = importlib.resources.files("eas_demo") / NAME
    if not packed.is_file():
        yield None
        return
    with importlib.resources.as_file(packed) as file:
        yield str(file)
