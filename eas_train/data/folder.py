"""What folders of images hold."""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES, names_image


def named(root: str | os.PathLike[str], name: str) -> Path:
    """The folder of that name: `root` itself where it bears it, else the one in `root`. It need not be there."""
    top = Path(os.path.abspath(root))
    return top if top.name == name else top / name


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without names that begin with a dot."""
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))


def images_of(folder: Path) -> list[Path]:
    """The image files of a folder itself, sorted."""
    return [f for f in entries(folder) if names_image(f) and f.is_file()]


def class_images(folder: Path) -> list[Path]:
    """The images of a class folder, sorted.

    Raises:
        DataError: where it holds a folder, or no image.
    """
    if deeper := [f for f in entries(folder) if f.is_dir()]:
        raise DataError(f"a class folder must hold images, not folders; {deeper[0]} lies one level too deep")
    if not (images := images_of(folder)):
        raise DataError(f"class folder {folder} holds no image; allowed are {', '.join(SUFFIXES)}")
    return images
