"""ImageNet-1k, or classes of it: `root/train/<id>/*.JPEG` and `root/val/<id>/*.JPEG`, each id a WordNet one."""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import names_image
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.division import HELD_OUT, validated
from eas_train.data.folder import images_of
from eas_train.data.listing import Found, Listing

VALIDATION_IMAGES = 10_000  # of ImageNet-10 and of ImageNet-12 in the paper, Section 4


def list_imagenet(
    root: str | os.PathLike[str], classes: ClassList, *, validation_share: float | None = None, seed: int = 0
) -> Listing:
    """The listed classes of ImageNet; folders of other classes are passed over.

    `val`, whose labels are public, is the test split. Validation is a seeded share of each class's training images.

    Args:
        root: the folder that holds `train` and `val`.
        classes: such as `read_list("imagenet-10")`; the ids name the folders.
        validation_share: of the training images, between 0 and 1. None takes 10,000 images, as the paper does, but
            no more than 15% of a small set.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the path or class: a missing or empty class folder, or one with a single training image.
        InputError: where the share is out of range.
    """
    top = Path(root)
    for split in (top / "train", top / "val"):
        if not split.is_dir():
            raise DataError(f"ImageNet must lie in train/<id>/ and val/<id>/ below one folder; {split} is no folder")
    training, test = (class_folders(top / split, classes) for split in ("train", "val"))
    share = min(VALIDATION_IMAGES / len(training), HELD_OUT) if validation_share is None else validation_share
    return Listing({**validated(training, share, seed), "test": test}, classes.superclasses, top)


def class_folders(split: Path, classes: ClassList) -> list[Found]:
    """The images below `split/<id>/` at any depth, for each id of the list, by torchvision and in its order.

    Raises:
        DataError: naming the classes that have none.
    """
    from torchvision.datasets.folder import make_dataset

    place = {c.id: i for i, c in enumerate(classes.classes)}
    files = make_dataset(str(split), place, is_valid_file=names_image, allow_empty=True)
    present = {i for _, i in files}
    if missing := sorted(f"{c.id} ({c.name})" for i, c in enumerate(classes.classes) if i not in present):
        loose = "; its images must be sorted into such folders first" if images_of(split) else ""
        raise DataError(
            f"{split} must hold a folder with images for each class of {classes.name!r}; it lacks "
            f"{listed(missing)}{loose}"
        )
    return [Found(classes.classes[i].superclass, classes.classes[i].name, Path(path)) for path, i in files]
