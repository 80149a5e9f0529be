"""Labelled images in a folder, `superclass/label.png` or `superclass/label/*.png`; some ship with the SDK."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.cli.output import progress
from eas_sdk.errors import DataError, ImageError, closest
from eas_sdk.image_file import names_image, read_image
from eas_sdk.images import to_square
from eas_sdk.names import same
from eas_sdk.runtime import Runtime

ATTRIBUTION = "ATTRIBUTION.md"


@dataclass(frozen=True, eq=False)
class Drawings:
    """The images of one task.

    Attributes:
        task: name of the superclass.
        images: uint8 [N, S, S, 3], RGB, of the side of the largest input of the bundle's networks.
        targets: int64 [N], indices into the task's labels.
    """

    task: str
    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]


def shipped_folder(tasks: Sequence[str]) -> Path:
    """The images that ship with the package: photos for a bundle that has their tasks, drawings for any other."""
    assets = Path(str(importlib.resources.files("eas_sdk") / "assets"))
    photos = assets / "photos"
    known = photos.is_dir() and all(same(f.name) in map(same, tasks) for f in _entries(photos) if f.is_dir())
    return photos if known else assets / "drawings"


def load_drawings(runtime: Runtime, folder: Path | None, tasks: Sequence[str] = ()) -> list[Drawings]:
    """Labelled images, in the runtime's order of tasks.

    Files that are no images by their suffix, and names that begin with a dot, are passed over.

    Args:
        folder: None for the images that ship.
        tasks: none for every task that has images.

    Raises:
        TaskError: the runtime has no such task.
        DataError: there is no such folder, a folder or file is named after no task or label, an image
            cannot be read, or a task has no images.
    """
    for task in tasks:
        runtime.labels(task)
    if folder is not None:
        return _load(runtime, folder, tasks)
    root = shipped_folder(runtime.tasks)
    if not root.is_dir():
        raise DataError("this installation ships no images; name a folder of superclass/label.png with --images DIR")
    try:
        return _load(runtime, root, tasks)
    except DataError:  # what is wrong with our own folder is nothing that the caller could mend
        raise DataError(
            "the images that come with the package show other things than this bundle tells apart; name a folder of "
            "superclass/label.png or superclass/label/*.png with --images DIR"
        ) from None


def _load(runtime: Runtime, root: Path, tasks: Sequence[str]) -> list[Drawings]:
    if not root.is_dir():
        raise DataError(f"{root} must be a folder of superclass/label.png")
    folders = {same(f.name): f for f in _entries(root) if f.is_dir()}
    unknown = sorted({*folders} - {same(task) for task in runtime.tasks})
    if unknown and not tasks:
        raise DataError(
            f"every folder in {root} must be named after a task of the bundle; "
            f"{unknown[0]!r} is none, {closest(unknown[0], runtime.tasks)}"
        )
    found = {
        task: list(_scan(folders.get(same(task), root / task), runtime.labels(task))) for task in tasks or runtime.tasks
    }
    if empty := [task for task in tasks if not found[task]]:
        raise DataError(f"{root / empty[0]} must hold images label.png or label/*.png, and holds none")
    if not any(found.values()):
        raise DataError(f"{root} must hold images superclass/label[/*].png, and holds none")
    size = runtime.bundle.input_size
    with progress("read images", sum(len(files) for files in found.values())) as advance:
        return [
            Drawings(
                task,
                np.stack([_read(path, size, advance) for path, _ in found[task]]),
                np.array([label for _, label in found[task]], np.int64),
            )
            for task in runtime.tasks
            if found.get(task)
        ]


def attribution(runtime: Runtime, folder: Path | None) -> str:
    """Whose the images are: the first paragraph below the headings of the folder's ATTRIBUTION.md, or ""."""
    path = (shipped_folder(runtime.tasks) if folder is None else folder) / ATTRIBUTION
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join("" if line.startswith("#") else line.strip() for line in lines).strip()
    return text.partition("\n\n")[0].replace("\n", " ")


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if names_image(path) and path.is_file()]


def _scan(folder: Path, labels: Sequence[str]) -> Iterator[tuple[Path, int]]:
    """The images of one task, each with the index of its label."""
    if not folder.is_dir():
        return
    place = {same(label): index for index, label in enumerate(labels)}
    named = [(path.stem, [path]) for path in _images(folder)]
    named += [(path.name, _images(path)) for path in _entries(folder) if path.is_dir()]
    for label, paths in named:
        if same(label) not in place:
            raise DataError(
                f"every image or folder in {folder} must be named after a label of the task; "
                f"{label!r} is none, {closest(label, labels)}"
            )
        for path in paths:
            yield path, place[same(label)]


def _read(path: Path, size: int, advance: Callable[[], None]) -> npt.NDArray[np.uint8]:
    try:
        pixels = to_square(read_image(path), size)
    except ImageError as error:
        raise DataError(str(error)) from None
    advance()
    return np.asarray(pixels, np.uint8)
