"""Photos of which nobody has said what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from eas_sdk.errors import DataError
from eas_train.data.folder import SUFFIXES, names_image
from eas_train.data.imageset import Superclass
from eas_train.data.photoset import UNLABELLED, PhotoFiles, PhotoSet


def unlabelled_photos(root: str | os.PathLike[str], superclasses: Sequence[Superclass]) -> PhotoSet:
    """All images below a folder, at any depth, sorted by path; nothing is decoded.

    Files with other suffixes and names that begin with a dot are passed over. Links are followed, and a folder that
    is reached twice is read once.

    Args:
        superclasses: of the set that these photos are used beside; no photo is said to be of them.

    Raises:
        DataError: it is no folder, a folder below it cannot be read, or there is no image.
    """
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"unlabelled photos lie below a folder; {top} is no folder")
    files = sorted(_images(top))
    if not files:
        raise DataError(f"{top} holds no images; they may lie at any depth, and end in {', '.join(SUFFIXES)}")
    targets = np.full(len(files), UNLABELLED, np.int64)
    return PhotoSet(PhotoFiles.of(top, [Path(file) for file in files]), targets, tuple(superclasses))


def _images(top: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error}") from None

    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(top, onerror=refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (path for name in names if names_image(name) and os.path.isfile(path := os.path.join(folder, name)))
