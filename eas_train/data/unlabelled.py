"""Photos of which nobody has said what they show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eas_sdk.errors import DataError, ImageError
from eas_sdk.image_file import SUFFIXES, files_below, image_files
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
    try:
        files = image_files(top)
        shards = [] if files else sorted(files_below(top, names_shard))
    except ImageError as error:
        raise DataError(f"unlabelled photos: {error}") from None
    if shards:
        return unlabelled(kept_index([Path(shard) for shard in shards]), superclasses)
    if not files:
        raise DataError(
            f"{top} holds no images; they may lie at any depth, and end in {', '.join(SUFFIXES)}, or lie in shards "
            f"that end in {SUFFIX}"
        )
    targets = np.full(len(files), UNLABELLED, np.int64)
    return PhotoSet(PhotoFiles.of(top, files), targets, tuple(superclasses))
