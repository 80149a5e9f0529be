"""Image files with their labels and splits: what a folder comes to in any layout, before an image is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import InputError, MissingDependency
from eas_sdk.names import same
from eas_train.data.imageset import ImageSet, Superclass
from eas_train.data.photo import read_square
from eas_train.data.photoset import PhotoFiles, PhotoSet
from eas_train.data.splits import Splits

SPLITS = ("train", "validation", "test")
BAR_FROM = 400  # images; fewer are decoded within about two seconds


@dataclass(frozen=True)
class Found:
    """An image file, its class and its superclass, whose names are put into the form in which names are compared."""

    superclass: str
    class_name: str
    path: Path

    def __post_init__(self) -> None:
        for field in ("superclass", "class_name"):
            object.__setattr__(self, field, same(getattr(self, field)))


@dataclass(frozen=True, eq=False)
class Listing:
    """The image files of each split.

    Attributes:
        found: {split: files}, for each of `SPLITS`; their classes are among those of `superclasses`.
        superclasses: with their classes, in the order of the targets.
        top: the folder that all files lie below.
        taken: what the images were taken for, in words; may be empty.
    """

    found: Mapping[str, Sequence[Found]]
    superclasses: tuple[Superclass, ...]
    top: Path
    taken: str = ""

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.found[split])} {split}" for split in SPLITS)
        classes = sum(len(superclass.class_names) for superclass in self.superclasses)
        said = f"{len(self.superclasses)} superclasses, {classes} classes, {counts} images"
        return f"{self.taken}; {said}" if self.taken else said


def as_drawings(listing: Listing, size: int) -> Splits[ImageSet]:
    """Every image decoded to a square, see `photo.read_square`: 4 * size**2 bytes of memory for each.

    There is a progress bar where there are many.

    Args:
        size: side of the images in pixels.

    Raises:
        DataError: naming the first image that cannot be read.
        InputError: where size is not positive.
        MissingDependency: where Pillow or rich is not installed.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    with _decoding(sum(len(files) for files in listing.found.values())) as update:
        done, parts = 0, []
        for split in SPLITS:
            parts.append(_decoded(listing, split, size, done, update))
            done += len(listing.found[split])
    return Splits(*parts)


def as_photos(listing: Listing) -> Splits[PhotoSet]:
    """The files themselves, to be decoded when they are asked for: one that cannot be read is found only then."""
    return Splits(
        *(
            PhotoSet(
                PhotoFiles.of(listing.top, [file.path for file in listing.found[split]]),
                _targets(listing, split),
                listing.superclasses,
            )
            for split in SPLITS
        )
    )


def _targets(listing: Listing, split: str) -> npt.NDArray[np.int64]:
    """int64 [N], the class of each file of a split."""
    names = [name for superclass in listing.superclasses for name in superclass.class_names]
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[file.class_name] for file in listing.found[split]], np.int64)


def _decoded(listing: Listing, split: str, size: int, done: int, update: Callable[[int, str], None]) -> ImageSet:
    files = listing.found[split]
    images: npt.NDArray[np.uint8] = np.empty((len(files), size, size, 4), np.uint8)
    for i, file in enumerate(files):
        images[i] = read_square(file.path, size)
        update(done + i + 1, file.class_name)
    return ImageSet(
        images,
        _targets(listing, split),
        tuple(name for superclass in listing.superclasses for name in superclass.class_names),
        listing.superclasses,
        (listing.top.resolve().name,) * len(files),
        tuple(file.path.relative_to(listing.top).as_posix() for file in files),
    )


def _decoding(total: int) -> AbstractContextManager[Callable[[int, str], None]]:
    """A context of `update(done, note)`, which shows progress where `total` images take more than two seconds."""
    if total < BAR_FROM:
        return nullcontext(lambda done, note: None)
    try:
        from eas_train.progress import progress
    except ImportError as error:
        raise MissingDependency(f"progress needs rich ({error})", "train") from None
    return progress("read images", total)
