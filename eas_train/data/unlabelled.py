"""Photos of which nobody has said what they show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from eas_sdk.errors import DataError
from eas_train.data.folder import SUFFIXES, names_image
from eas_train.data.imageset import Superclass
from eas_train.data.photoset import UNLABELLED, PhotoFiles, PhotoSet
from eas_train.data.shard_splits import SUFFIX, kept_index, names_shard, unlabelled


def unlabelled_photos(root: str | os.PathLike[str], superclasses: Sequence[Superclass]) -> PhotoSet:
    """All images below a folder, at any depth, sorted by path; nothing is decoded.

    Where there are tar shards and no images, they are the images of the shards, whatever their labels. Files with other
    suffixes and names that begin with a dot are passed over. Links are followed, and a folder that is reached twice is
    read once.

    Args:
        superclasses: of the set that these photos are used beside; no photo is said to be of them.

    Raises:
        DataError: it is no folder, a folder below it cannot be read, there is no image, or a shard is damaged.
    """
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"unlabelled photos lie below a folder; {top} is no folder")
    files = sorted(_files(top, names_image))
    if not files and (shards := sorted(_files(top, names_shard))):
        return unlabelled(kept_index([Path(shard) for shard in shards]), superclasses)
    if not files:
        raise DataError(
            f"{top} holds no images; they may lie at any depth, and end in {', '.join(SUFFIXES)}, or lie in shards "
            f"that end in {SUFFIX}"
        )
    targets = np.full(len(files), UNLABELLED, np.int64)
    return PhotoSet(PhotoFiles.of(top, [Path(file) for file in files]), targets, tuple(superclasses))


def _files(top: Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """The files below a folder whose names are wanted."""

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
        yield from (path for name in names if wanted(name) and os.path.isfile(path := os.path.join(folder, name)))
