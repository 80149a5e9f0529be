"""Images in a folder tree: `root/superclass/class/image.png`, with or without the splits above.

With `root/train`, `root/validation` and `root/test` all present, each holds `superclass/class/image` and is
used as that split. Without them the images of each class are divided by a seeded draw: 70% training, 15%
validation, 15% test.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES, names_image
from eas_train.data.division import divide
from eas_train.data.imageset import Superclass
from eas_train.data.labels import NONE
from eas_train.data.listing import SPLITS, Found, Listing


def list_folder(root: str | os.PathLike[str], seed: int = 0) -> Listing:
    """The images of a folder as three splits over the same classes, in sorted order.

    Files with other suffixes and names that begin with a dot are passed over.

    Args:
        root: the folder.
        seed: of the division into splits, where the tree has none; a class's images are divided the same way
            whatever other classes there are.

    Raises:
        DataError: naming the path or class: no images, an image at the wrong depth, an empty class, a class in two
            superclasses, fewer than three images of a class where they must be divided, or a class of validation or
            test that training lacks.
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
    return Listing(found, superclasses, top)


def list_others(root: str | os.PathLike[str], superclasses: Sequence[Superclass], seed: int = 0) -> Listing:
    """The images of a folder of other classes, for a router; see `list_folder`.

    Args:
        superclasses: those of the bank. Folders have their names, or `NONE` for what belongs to none of them.

    Raises:
        DataError: as `list_folder` does, or a folder has another name.
    """
    listing = list_folder(root, seed)
    known = [s.name for s in superclasses]
    given = {s.name: s.class_names for s in listing.superclasses}
    if odd := sorted(set(given) - {*known, NONE}):
        raise DataError(
            f"folders of other classes are named after a superclass ({', '.join(known)}), or {NONE!r}; {root} has "
            f"{', '.join(odd)}"
        )
    ordered = tuple(Superclass(name, given.get(name, ())) for name in (*known, NONE))
    return Listing(listing.found, ordered, listing.top)


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
