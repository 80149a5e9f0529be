"""CIFAR-100 as torchvision reads it: the folder `cifar-100-python` with the pickled files train, test and meta.

A pickle can run code when it is read. torchvision unpickles a file only where its MD5 is the official one, and that
makes it safe: nobody knows how to make another file with the MD5 of a given one. A file that was altered is refused
unread.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from eas_sdk.errors import DataError
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.division import hold_out
from eas_train.data.folder import named
from eas_train.data.photoset import PhotoPixels, PhotoSet
from eas_train.data.splits import Splits


def load_cifar(
    root: str | os.PathLike[str], classes: ClassList, *, validation_share: float = 0.1, seed: int = 0
) -> Splits[PhotoSet]:
    """The listed classes of CIFAR-100, 32 x 32 pixels each, in memory; images of other classes are passed over.

    Validation is a seeded share of each class's training images. The coarse labels are not used: the list says which
    superclass a class belongs to.

    Args:
        root: the folder `cifar-100-python`, or the one that holds it.
        classes: such as `read_list("cifar-100")`; the ids are fine labels.
        validation_share: of the training images, between 0 and 1.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the file or class: a file that is missing or altered, an id that is not a fine label, or a
            class without images.
        InputError: where the share is out of range.
    """
    from torchvision.datasets import CIFAR100

    top = named(root, CIFAR100.base_folder)
    try:
        train, test = (CIFAR100(top.parent, train=part, download=False) for part in (True, False))
    except RuntimeError:
        raise DataError(
            f"{top} must hold the files of {CIFAR100.filename}, each with its official MD5; missing or altered: "
            f"{', '.join(_refused(top))}"
        ) from None
    if unknown := [c.id for c in classes.classes if c.id not in train.classes]:
        raise DataError(f"ids of {classes.name!r} must be fine labels of CIFAR-100; not among them: {listed(unknown)}")
    place = np.full(len(train.classes), -1, np.int64)  # of a fine label among the classes
    place[[train.classes.index(c.id) for c in classes.classes]] = np.arange(len(classes.classes))

    def part(dataset: CIFAR100) -> PhotoSet:
        targets = place[np.array(dataset.targets, np.int64)]
        kept = np.flatnonzero(targets >= 0)
        if absent := [c.id for i, c in enumerate(classes.classes) if i not in targets]:
            split = "train" if dataset.train else "test"
            raise DataError(f"the {split} split of CIFAR-100 must have every class; it lacks {listed(absent)}")
        return PhotoSet(PhotoPixels(np.ascontiguousarray(dataset.data[kept])), targets[kept], classes.superclasses)

    training, tested = part(train), part(test)
    held_out = hold_out([training.classes[i] for i in training.targets], validation_share, seed)
    return Splits(training.take(np.flatnonzero(~held_out)), training.take(np.flatnonzero(held_out)), tested)


def _refused(top: Path) -> list[str]:
    """The files that are missing or altered."""
    from torchvision.datasets import CIFAR100
    from torchvision.datasets.utils import check_integrity

    files = [*CIFAR100.train_list, *CIFAR100.test_list, (CIFAR100.meta["filename"], CIFAR100.meta["md5"])]
    return [name for name, md5 in files if not check_integrity(top / name, md5)]
