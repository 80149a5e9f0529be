"""Stanford Cars: `cars_train/`, `cars_test/`, and the class of each image in MATLAB files.

Those are `devkit/cars_meta.mat`, `devkit/cars_train_annos.mat`, and for the test images
`cars_test_annos_withlabels.mat` in `devkit/` or beside it. The devkit's own `cars_test_annos.mat` names no classes
and is of no use alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data.class_lists import ClassList, ListedClass, listed
from eas_train.data.folder import Found, read_splits, validated
from eas_train.data.imageset import ImageSet
from eas_train.data.splits import Splits

VALIDATION_SHARE = 0.2  # 500 of the 2,494 training images of Car-20 in the paper, Section 4
TEST_FILES = (
    "devkit/cars_test_annos_withlabels.mat",
    "cars_test_annos_withlabels.mat",
    "devkit/cars_test_annos.mat",
    "cars_test_annos.mat",
)


def load_cars(
    root: str | os.PathLike[str],
    classes: ClassList,
    size: int,
    *,
    validation_share: float = VALIDATION_SHARE,
    seed: int = 0,
) -> Splits[ImageSet]:
    """Read the listed classes of Stanford Cars; images of other classes are passed over.

    Validation is a seeded share of each class's training images. Images are cropped to their central square, not to
    the boxes of the annotations.

    Args:
        root: the folder that holds `cars_train`, `cars_test` and `devkit`.
        classes: such as `read_list("car-20")`; the ids are class names of the data set.
        size: side of the images in pixels.
        validation_share: of the training images, between 0 and 1.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the file or class: a file that is missing or has another layout, an id that is not a class,
            test annotations without classes, a class without images, a missing or unreadable image.
        InputError: where the share or the size is out of range.
        MissingDependency: where SciPy, Pillow or rich is not installed.
    """
    top = Path(root)
    names = _class_names(top / "devkit" / "cars_meta.mat")
    if unknown := [c.id for c in classes.classes if c.id not in names]:
        raise DataError(
            f"ids of {classes.name!r} must be class names of Stanford Cars; not among its {len(names)}: "
            f"{listed(unknown)}"
        )
    by_label = {names.index(c.id) + 1: c for c in classes.classes}  # labels count from 1
    training = _scan(top / "devkit" / "cars_train_annos.mat", top / "cars_train", len(names), by_label)
    test_file = next((top / name for name in TEST_FILES if (top / name).is_file()), top / TEST_FILES[0])
    test = _scan(test_file, top / "cars_test", len(names), by_label)
    found = {**validated(training, validation_share, seed), "test": test}
    return read_splits(found, classes.superclasses, top, size)


def _class_names(path: Path) -> list[str]:
    names: list[str] = _variable(path, "class_names").tolist()
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} must hold class names; got {names[:3]}")
    return names


def _scan(path: Path, folder: Path, count: int, by_label: Mapping[int, ListedClass]) -> list[Found]:
    """The images of `folder` whose label, from the annotations in `path`, is one of `by_label`."""
    annotations = _variable(path, "annotations")
    fields = annotations.dtype.names or ()
    if "class" not in fields:
        raise DataError(
            f"annotations must name the class of each image; {path} has {', '.join(fields) or 'no fields'}: "
            "get cars_test_annos_withlabels.mat, which the devkit leaves out"
        )
    if "fname" not in fields:
        raise DataError(f"annotations must name the file of each image; {path} has {', '.join(fields)}")
    found, missing = [], []
    for label, name in zip(annotations["class"].tolist(), annotations["fname"].tolist(), strict=True):
        if not isinstance(label, (int, np.integer)) or not 1 <= label <= count or not _is_file_name(name):
            raise DataError(f"{path} must give classes 1..{count} and file names; got {label!r} and {name!r}")
        if drawn := by_label.get(int(label)):
            found.append(Found(drawn.superclass, drawn.name, folder / name))
            if not (folder / name).is_file():
                missing.append(name)
    if missing:
        raise DataError(f"{folder} must hold the images that {path.name} names; it lacks {listed(sorted(missing))}")
    names = {f.class_name for f in found}
    if absent := [c.id for c in by_label.values() if c.name not in names]:
        raise DataError(f"{path} must name images of every class; it names none of {listed(absent)}")
    return found


def _is_file_name(name: Any) -> bool:
    """Whether it is a plain name, which cannot lead out of its folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _variable(path: Path, name: str) -> npt.NDArray[Any]:
    """A vector of a MATLAB file."""
    try:
        import scipy.io
    except ImportError as error:
        raise MissingDependency(
            f"reading MATLAB files needs SciPy ({error}); install the extra `train`: pip install 'eas-sdk[train]'"
        ) from None
    if not path.is_file():
        raise DataError(f"{path} is missing; Stanford Cars has cars_train/, cars_test/ and devkit/ with .mat files")
    try:
        variables = scipy.io.loadmat(path, squeeze_me=True, variable_names=[name])
    except Exception as error:  # SciPy reports a broken file as anything, from zlib.error to TypeError
        raise DataError(f"{path} cannot be read as a MATLAB file: {error!r}") from None
    if name not in variables:
        raise DataError(f"{path} must hold the variable {name!r}, and does not")
    return np.atleast_1d(np.asarray(variables[name]))
