"""Images from a folder tree: `root/superclass/class/image.png`, with or without the splits above.

With `root/train`, `root/validation` and `root/test` all present, each holds `superclass/class/image` and is
used as that split. Without them the images of each class are divided by a seeded draw: 70% training, 15%
validation, 15% test.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data.imageset import ImageSet, Splits, Superclass
from eas_train.data.labels import NONE
from eas_train.data.photo import read_square

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SPLITS = ("train", "validation", "test")
HELD_OUT = 0.15  # of a class, for validation and again for test
BAR_FROM = 400  # images; fewer are read within about two seconds


@dataclass(frozen=True)
class _Found:
    """An image file and the names of the folders above it."""

    superclass: str
    class_name: str
    path: Path


def load_folder(root: str | os.PathLike[str], size: int = 96, seed: int = 0) -> Splits:
    """Read a folder of images as three splits over the same classes, in sorted order.

    Files with other suffixes and names that begin with a dot are passed over. How an image becomes square
    is told in `photo.read_square`.

    Args:
        root: the folder.
        size: side of the images in pixels.
        seed: of the division into splits, where the tree has none; a class's images are divided the same way
            whatever other classes there are.

    Raises:
        DataError: naming the path or class: no images, an image at the wrong depth, an unreadable image, an
            empty class, a class in two superclasses, fewer than three images of a class where they must be
            divided, or a class of validation or test that training lacks.
        MissingDependency: where Pillow or rich is not installed.
    """
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"{top} must be a folder of superclass/class/image, and it is no folder")
    if _has_splits(top):
        found = {split: _scan(top / split) for split in SPLITS}
    else:
        found = _divide(_scan(top), seed)
    superclasses = _superclasses([f for split in SPLITS for f in found[split]])
    trained = {f.class_name for f in found["train"]}
    untrained = sorted({f.class_name for split in SPLITS for f in found[split]} - trained)
    if untrained:
        raise DataError(f"every class must have training images; {top / 'train'} lacks {', '.join(untrained)}")
    total = sum(len(files) for files in found.values())
    with _progress(total) as update:
        done, parts = 0, []
        for split in SPLITS:
            parts.append(_read(found[split], superclasses, top, size, done, update))
            done += len(found[split])
    return Splits(*parts)


def load_others(
    root: str | os.PathLike[str], superclasses: Sequence[Superclass], size: int = 96, seed: int = 0
) -> Splits:
    """Read a folder of images of other classes, for a router; see `load_folder`.

    Args:
        superclasses: those of the bank. Folders have their names, or `NONE` for what belongs to none of them.

    Raises:
        DataError: as `load_folder` does, or a folder has another name.
        MissingDependency: where Pillow or rich is not installed.
    """
    found = load_folder(root, size, seed)
    known = [s.name for s in superclasses]
    given = {s.name: s.class_names for s in found.superclasses}
    if odd := sorted(set(given) - {*known, NONE}):
        raise DataError(
            f"folders of other classes are named after a superclass ({', '.join(known)}), or {NONE!r}; {root} has "
            f"{', '.join(odd)}"
        )
    ordered = tuple(Superclass(name, given.get(name, ())) for name in (*known, NONE))
    classes = tuple(c for s in ordered for c in s.class_names)
    place = np.array([classes.index(c) for c in found.classes], np.int64)
    return Splits(
        *(
            ImageSet(part.images, place[part.targets], classes, ordered, part.sources, part.names)
            for part in (found.train, found.validation, found.test)
        )
    )


def _has_splits(top: Path) -> bool:
    """Whether the folders of `top` are splits; one `train` beside other folders is a superclass of trains."""
    folders = {f.name for f in _entries(top) if f.is_dir()}
    if not set(SPLITS) <= folders and not (folders and folders < set(SPLITS)):
        return False
    if folders != set(SPLITS):
        odd = sorted(folders ^ set(SPLITS))
        rule = "a divided folder must hold train, validation and test, and no other folder"
        raise DataError(f"{rule}; {top} has {', '.join(sorted(folders))}: look at {', '.join(odd)}")
    return True


def _entries(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return [f for f in _entries(folder) if f.suffix.lower() in SUFFIXES and f.is_file()]


def _scan(top: Path) -> list[_Found]:
    """The images of `top/superclass/class/`, sorted by path."""
    found: list[_Found] = []
    for superclass in [top, *(f for f in _entries(top) if f.is_dir())]:
        if misplaced := _images(superclass):
            raise DataError(f"images must lie in superclass/class/ below {top}, and {misplaced[0]} does not")
    for superclass in (f for f in _entries(top) if f.is_dir()):
        for folder in (f for f in _entries(superclass) if f.is_dir()):
            images = _images(folder)
            if deeper := [f for f in _entries(folder) if f.is_dir()]:
                raise DataError(f"a class folder must hold images, not folders; {deeper[0]} lies one level too deep")
            if not images:
                raise DataError(f"class folder {folder} holds no image; allowed are {', '.join(SUFFIXES)}")
            found += [_Found(superclass.name, folder.name, image) for image in images]
    if not found:
        raise DataError(f"{top} holds no images; they must lie in superclass/class/ and end in {', '.join(SUFFIXES)}")
    return found


def _superclasses(found: Sequence[_Found]) -> tuple[Superclass, ...]:
    first: dict[str, _Found] = {}
    for file in found:
        other = first.setdefault(file.class_name, file)
        if other.superclass != file.superclass:
            raise DataError(
                f"a class must have one superclass; {file.class_name!r} is in {other.path.parent} "
                f"and in {file.path.parent}"
            )
    names = sorted({f.superclass for f in found})
    return tuple(Superclass(n, tuple(sorted(c for c, f in first.items() if f.superclass == n))) for n in names)


def _divide(found: Sequence[_Found], seed: int) -> dict[str, list[_Found]]:
    """Divide the images of each class by a draw that depends on (seed, class name) alone."""
    by_class: dict[tuple[str, str], list[_Found]] = {}
    for file in found:
        by_class.setdefault((file.superclass, file.class_name), []).append(file)
    few = [f"{c} ({len(files)})" for (_, c), files in by_class.items() if len(files) < 3]
    if few:
        raise DataError(f"a class must have at least 3 images, one for each split; too few: {', '.join(few)}")
    parts: dict[str, list[_Found]] = {split: [] for split in SPLITS}
    for (_, name), files in by_class.items():
        order = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(files))
        held_out = max(1, round(HELD_OUT * len(files)))
        for split, chosen in zip(
            SPLITS, (order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]), strict=True
        ):
            parts[split] += [files[i] for i in sorted(chosen)]
    return parts


def _progress(total: int) -> AbstractContextManager[Callable[[int, str], None]]:
    if total < BAR_FROM:
        return nullcontext(lambda done, note: None)
    try:
        from eas_train.progress import progress
    except ImportError as error:
        raise MissingDependency(
            f"progress needs rich ({error}); install the extra `train`: pip install 'eas-sdk[train]'"
        ) from None
    return progress("read images", total)


def _read(
    found: Sequence[_Found],
    superclasses: tuple[Superclass, ...],
    top: Path,
    size: int,
    done: int,
    update: Callable[[int, str], None],
) -> ImageSet:
    classes = tuple(c for s in superclasses for c in s.class_names)
    index = {name: i for i, name in enumerate(classes)}
    images: npt.NDArray[np.uint8] = np.empty((len(found), size, size, 4), np.uint8)
    for i, file in enumerate(found):
        images[i] = read_square(file.path, size)
        update(done + i + 1, file.class_name)
    return ImageSet(
        images,
        np.asarray([index[f.class_name] for f in found], np.int64),
        classes,
        superclasses,
        (top.resolve().name,) * len(found),
        tuple(f.path.relative_to(top).as_posix() for f in found),
    )
