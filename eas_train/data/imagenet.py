"""ImageNet-1k, or classes of it: `root/train/<id>/*.JPEG` and `root/val/<id>/*.JPEG`, each id a WordNet one."""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import DataError
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.folder import HELD_OUT, Found, class_images, entries, images_of, read_splits, validated
from eas_train.data.imageset import ImageSet
from eas_train.data.splits import Splits

VALIDATION_IMAGES = 10_000  # of ImageNet-10 and of ImageNet-12 in the paper, Section 4


def load_imagenet(
    root: str | os.PathLike[str],
    classes: ClassList,
    size: int,
    *,
    validation_share: float | None = None,
    seed: int = 0,
) -> Splits[ImageSet]:
    """Read the listed classes of ImageNet; folders of other classes are passed over.

    `val`, whose labels are public, is the test split. Validation is a seeded share of each class's training images.
    The images of all splits are held in memory: 4 * size**2 bytes for each.

    Args:
        root: the folder that holds `train` and `val`.
        classes: such as `read_list("imagenet-10")`; the ids name the folders.
        size: side of the images in pixels.
        validation_share: of the training images, between 0 and 1. None takes 10,000 images, as the paper does, but
            no more than 15% of a small set.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the path or class: a missing or empty class folder, an unreadable image.
        InputError: where the share or the size is out of range.
        MissingDependency: where Pillow or rich is not installed.
    """
    top = Path(root)
    training, test = (_scan(top / split, classes) for split in ("train", "val"))
    share = min(VALIDATION_IMAGES / len(training), HELD_OUT) if validation_share is None else validation_share
    found = {**validated(training, share, seed), "test": test}
    return read_splits(found, classes.superclasses, top, size)


def _scan(split: Path, classes: ClassList) -> list[Found]:
    if not split.is_dir():
        raise DataError(f"ImageNet must lie in train/<id>/ and val/<id>/ below one folder; {split} is no folder")
    folders = {f.name: f for f in entries(split) if f.is_dir()}
    if missing := sorted(f"{c.id} ({c.name})" for c in classes.classes if c.id not in folders):
        loose = "; its images must be sorted into such folders first" if images_of(split) else ""
        raise DataError(
            f"{split} must hold a folder for each class of {classes.name!r}; it lacks {listed(missing)}{loose}"
        )
    return [Found(c.superclass, c.name, image) for c in classes.classes for image in class_images(folders[c.id])]
