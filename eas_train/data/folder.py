"""What folders of images hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES, names_image


def named(root: str | os.PathLike[str], name: str) -> Path:
    """The folder of that name: `root` itself where it bears it, else the one in `root`. It need not be there."""
    top = Path(os.path.abspath(root))
    return top if top.name == name else top / name


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without names that begin with a dot."""
    return _sorted(folder, lambda entry: not entry.name.startswith("."))


def folders_of(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without those whose names begin with a dot."""
    return _sorted(folder, lambda entry: not entry.name.startswith(".") and entry.is_dir())


def images_of(folder: Path) -> list[Path]:
    """The image files of a folder itself, sorted."""
    return _sorted(folder, lambda entry: names_image(entry.name) and entry.is_file())


def _sorted(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[Path]:
    """What is wanted of what a folder holds, as paths are sorted. The system says what each is as it lists it, so that
    of many thousand files none is asked about."""
    with os.scandir(folder) as inside:
        names = sorted((entry.name for entry in inside if wanted(entry)), key=os.path.normcase)
    return [folder / name for name in names]


def class_images(folder: Path) -> list[Path]:
    """The images of a class folder, sorted.

    Raises:
        DataError: where it holds a folder, or no image.
    """
    if deeper := folders_of(folder):
        raise DataError(f"a class folder must hold images, not folders; {deeper[0]} lies one level too deep")
    if not (images := images_of(folder)):
        raise DataError(f"class folder {folder} holds no image; allowed are {', '.join(SUFFIXES)}")
    return images
