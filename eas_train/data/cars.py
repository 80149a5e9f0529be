"""Stanford Cars as torchvision reads it: a folder `stanford_cars` with the images and their classes in MATLAB files.

::

    stanford_cars/cars_train/*.jpg
    stanford_cars/cars_test/*.jpg
    stanford_cars/devkit/cars_meta.mat
    stanford_cars/devkit/cars_train_annos.mat
    stanford_cars/cars_test_annos_withlabels.mat

The devkit's own `cars_test_annos.mat` names no classes and is of no use.
"""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.division import validated
from eas_train.data.folder import named
from eas_train.data.listing import Found, Listing

FOLDER = "stanford_cars"
VALIDATION_SHARE = 0.2  # 500 of the 2,494 training images of Car-20 in the paper, Section 4


def list_cars(
    root: str | os.PathLike[str], classes: ClassList, *, validation_share: float = VALIDATION_SHARE, seed: int = 0
) -> Listing:
    """The listed classes of Stanford Cars; images of other classes are passed over.

    Validation is a seeded share of each class's training images. The boxes of the annotations are not used.

    Args:
        root: the folder `stanford_cars`, or the one that holds it.
        classes: such as `read_list("car-20")`; the ids are class names of the data set.
        validation_share: of the training images, between 0 and 1.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the file or class: a file that is missing or has another layout, an id that is not a class,
            a class without images, an image that is missing or not in its folder.
        InputError: where the share is out of range.
        MissingDependency: where SciPy is not installed.
    """
    top = named(root, FOLDER)
    training, test = (_scan(top, split, classes) for split in ("train", "test"))
    return Listing({**validated(training, validation_share, seed), "test": test}, classes.superclasses, top)


def _scan(top: Path, split: str, classes: ClassList) -> list[Found]:
    """The images of a split that are of a listed class."""
    names, samples = _read(top, split)
    if unknown := [c.id for c in classes.classes if c.id not in names]:
        raise DataError(
            f"ids of {classes.name!r} must be class names of Stanford Cars; not among its {len(names)}: "
            f"{listed(unknown)}"
        )
    by_label = {names.index(c.id): c for c in classes.classes}
    folder, found = top / f"cars_{split}", []
    for path, label in samples:
        if path.parent != folder or path.name == ".." or not 0 <= label < len(names):
            raise DataError(
                f"the annotations of cars_{split} must give file names in {folder} and classes 1..{len(names)}; got "
                f"{str(path)!r} and {label + 1}"
            )
        if c := by_label.get(label):
            found.append(Found(c.superclass, c.name, path))
    if missing := sorted(f.path.name for f in found if not f.path.is_file()):
        raise DataError(f"{folder} must hold the images that its annotations name; it lacks {listed(missing)}")
    present = {f.class_name for f in found}
    if absent := [c.id for c in classes.classes if c.name not in present]:
        raise DataError(
            f"the annotations of {folder} must name images of every class; they name none of {listed(absent)}"
        )
    return found


def _read(top: Path, split: str) -> tuple[list[str], list[tuple[Path, int]]]:
    """The class names of the data set, and the images of a split with their labels, which count from 0."""
    try:
        import scipy.io  # noqa: F401  # torchvision needs it, and reports it as it does a missing data set
    except ImportError as error:
        raise MissingDependency(f"reading MATLAB files needs SciPy ({error})", "train") from None
    from torchvision.datasets import StanfordCars

    try:
        dataset = StanfordCars(top.parent, split, download=False)
        # By its items each photo would be decoded.
        samples = [(Path(path), int(label)) for path, label in dataset._samples]
        names = [str(name) for name in dataset.classes]
    except Exception as error:  # SciPy reports a broken file as anything, from zlib.error to TypeError
        raise DataError(
            f"{top} must hold cars_train/, cars_test/, devkit/ with cars_meta.mat and cars_train_annos.mat, and "
            f"cars_test_annos_withlabels.mat, which the devkit leaves out; missing or wrong for the {split} split: "
            f"{error!r}"
        ) from None
    return names, samples
