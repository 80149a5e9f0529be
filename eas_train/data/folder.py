"""Images from a folder tree: `root/superclass/class/image.png`, with or without the splits above.

With `root/train`, `root/validation` and `root/test` all present, each holds `superclass/class/image` and is
used as that split. Without them the images of each class are divided by a seeded draw: 70% training, 15%
validation, 15% test.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, InputError, MissingDependency
from eas_train.data.class_lists import listed
from eas_train.data.imageset import ImageSet, Superclass
from eas_train.data.labels import NONE
from eas_train.data.photo import read_square
from eas_train.data.splits import Splits

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SPLITS = ("train", "validation", "test")
HELD_OUT = 0.15  # of a class, for validation and again for test
BAR_FROM = 400  # images; fewer are read within about two seconds


@dataclass(frozen=True)
class Found:
    """An image file, its class and its superclass."""

    superclass: str
    class_name: str
    path: Path


def load_folder(root: str | os.PathLike[str], size: int = 96, seed: int = 0) -> Splits[ImageSet]:
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
    if has_splits(top):
        found = {split: _scan(top / split) for split in SPLITS}
    else:
        found = divide(_scan(top), seed)
    superclasses = _superclasses([f for split in SPLITS for f in found[split]])
    trained = {f.class_name for f in found["train"]}
    untrained = sorted({f.class_name for split in SPLITS for f in found[split]} - trained)
    if untrained:
        raise DataError(f"every class must have training images; {top / 'train'} lacks {', '.join(untrained)}")
    return read_splits(found, superclasses, top, size)


def load_others(
    root: str | os.PathLike[str], superclasses: Sequence[Superclass], size: int = 96, seed: int = 0
) -> Splits[ImageSet]:
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


def read_splits(
    found: Mapping[str, Sequence[Found]], superclasses: tuple[Superclass, ...], top: Path, size: int
) -> Splits[ImageSet]:
    """Read the files of each split, {split: files below `top`}, with a progress bar where there are many.

    Raises:
        DataError: naming the first image that cannot be read.
        InputError: where size is not positive.
        MissingDependency: where Pillow or rich is not installed.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    with reading(sum(len(files) for files in found.values())) as update:
        done, parts = 0, []
        for split in SPLITS:
            parts.append(_read(found[split], superclasses, top, size, done, update))
            done += len(found[split])
    return Splits(*parts)


def has_splits(top: Path) -> bool:
    """Whether the folders of `top` are splits; one `train` beside other folders is a superclass of trains."""
    folders = {f.name for f in entries(top) if f.is_dir()}
    if not set(SPLITS) <= folders and not (folders and folders < set(SPLITS)):
        return False
    if folders != set(SPLITS):
        odd = sorted(folders ^ set(SPLITS))
        rule = "a divided folder must hold train, validation and test, and no other folder"
        raise DataError(f"{rule}; {top} has {', '.join(sorted(folders))}: look at {', '.join(odd)}")
    return True


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without names that begin with a dot."""
    return sorted(f for f in folder.iterdir() if not f.name.startswith("."))


def images_of(folder: Path) -> list[Path]:
    """The image files of a folder itself, sorted."""
    return [f for f in entries(folder) if f.suffix.lower() in SUFFIXES and f.is_file()]


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


def _scan(top: Path) -> list[Found]:
    """The images of `top/superclass/class/`, sorted by path."""
    found: list[Found] = []
    for superclass in [top, *(f for f in entries(top) if f.is_dir())]:
        if misplaced := images_of(superclass):
            raise DataError(f"images must lie in superclass/class/ below {top}, and {misplaced[0]} does not")
    for superclass in (f for f in entries(top) if f.is_dir()):
        for folder in (f for f in entries(superclass) if f.is_dir()):
            found += [Found(superclass.name, folder.name, image) for image in class_images(folder)]
    if not found:
        raise DataError(f"{top} holds no images; they must lie in superclass/class/ and end in {', '.join(SUFFIXES)}")
    return found


def _superclasses(found: Sequence[Found]) -> tuple[Superclass, ...]:
    first: dict[str, Found] = {}
    for file in found:
        other = first.setdefault(file.class_name, file)
        if other.superclass != file.superclass:
            raise DataError(
                f"a class must have one superclass; {file.class_name!r} is in {other.path.parent} "
                f"and in {file.path.parent}"
            )
    names = sorted({f.superclass for f in found})
    return tuple(Superclass(n, tuple(sorted(c for c, f in first.items() if f.superclass == n))) for n in names)


def divide(found: Sequence[Found], seed: int) -> dict[str, list[Found]]:
    """Divide the images of each class by a draw that depends on (seed, class name) alone."""
    by_class: dict[tuple[str, str], list[Found]] = {}
    for file in found:
        by_class.setdefault((file.superclass, file.class_name), []).append(file)
    few = [f"{c} ({len(files)})" for (_, c), files in by_class.items() if len(files) < 3]
    if few:
        raise DataError(f"a class must have at least 3 images, one for each split; too few: {', '.join(few)}")
    parts: dict[str, list[Found]] = {split: [] for split in SPLITS}
    for (_, name), files in by_class.items():
        order = _draw(name, len(files), seed)
        held_out = max(1, round(HELD_OUT * len(files)))
        for split, chosen in zip(
            SPLITS, (order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]), strict=True
        ):
            parts[split] += [files[i] for i in sorted(chosen)]
    return parts


def hold_out(class_names: Sequence[str], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """bool [N]: which of N images validate, a seeded share of each class; all others train.

    Of each class at least one image validates and at least one trains. A class is divided the same way whatever
    other classes there are.

    Args:
        class_names: [N], the class of each image.
        share: between 0 and 1.

    Raises:
        InputError: where the share is not between 0 and 1.
        DataError: naming the classes that have one image only.
    """
    if not 0 < share < 1:
        raise InputError(f"the share of validation must lie between 0 and 1, got {share}")
    members: dict[str, list[int]] = {}
    for i, name in enumerate(class_names):
        members.setdefault(name, []).append(i)
    if few := [name for name, places in members.items() if len(places) < 2]:
        raise DataError(f"a class must have at least 2 images, to train and to validate; too few: {listed(few)}")
    held_out = np.zeros(len(class_names), np.bool_)
    for name, places in members.items():
        count = min(max(1, round(share * len(places))), len(places) - 1)
        held_out[np.asarray(places)[_draw(name, len(places), seed)[:count]]] = True
    return held_out


def validated(training: Sequence[Found], share: float, seed: int) -> dict[str, list[Found]]:
    """{"train": ..., "validation": ...} of the training images; see `hold_out`."""
    held_out = hold_out([f.class_name for f in training], share, seed)
    return {
        "train": [f for f, held in zip(training, held_out, strict=True) if not held],
        "validation": [f for f, held in zip(training, held_out, strict=True) if held],
    }


def _draw(class_name: str, count: int, seed: int) -> npt.NDArray[np.int64]:
    """A permutation of `count` images that depends on (seed, class name) alone."""
    return np.random.default_rng([seed, zlib.crc32(class_name.encode())]).permutation(count)


def reading(total: int) -> AbstractContextManager[Callable[[int, str], None]]:
    """A context of `update(done, note)`, which shows progress where `total` images take more than two seconds."""
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
    found: Sequence[Found],
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
