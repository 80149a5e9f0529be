"""One training at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from eas_sdk.errors import TrainingError

NAME = ".lock"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made where it is missing; a lock ends with its process, however that ends. Where an error
    leaves a new folder empty, it goes again.

    Raises:
        TrainingError: another process holds it.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / NAME, timeout=0):
            yield
    except Timeout:
        raise TrainingError(f"one training writes to a folder, and another process trains in {folder}") from None
    except BaseException:
        if new and {path.name for path in folder.iterdir()} <= {NAME}:
            (folder / NAME).unlink(missing_ok=True)
            folder.rmdir()
        raise
