"""Tiny ImageNet as it is unpacked: 200 classes of ImageNet in 64 x 64 pixels.

::

    tiny-imagenet-200/train/<id>/images/*.JPEG
    tiny-imagenet-200/val/images/*.JPEG
    tiny-imagenet-200/val/val_annotations.txt      file, id and box of each, separated by tabs
    tiny-imagenet-200/wnids.txt                    the ids
    tiny-imagenet-200/words.txt                    what ids mean

`val`, whose labels are public, is the test split; those of the set's own `test` are not, and it is not used. Some
photos are there twice, under two classes or in `train` and `val`: one of them is kept.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from eas_sdk.errors import DataError
from eas_train.data.class_lists import ClassList, ListedClass, listed
from eas_train.data.copies import without_copies
from eas_train.data.division import validated
from eas_train.data.imagenet import class_folders
from eas_train.data.imageset import Superclass
from eas_train.data.labels import NONE
from eas_train.data.listing import Found, Listing

FOLDER = "tiny-imagenet-200"


def list_tiny_imagenet(
    root: str | os.PathLike[str], classes: ClassList, *, validation_share: float = 0.1, seed: int = 0
) -> tuple[Listing, Listing | None]:
    """The listed classes, and all others of the set as what belongs to no superclass, for a router.

    Validation is a seeded share of each class's training photos. Of photos with equal content the first is kept, in
    this order: test and training photos of the listed classes, then test and training photos of the others.

    Args:
        root: the folder `tiny-imagenet-200`, or the one that holds it.
        classes: such as `read_list("photos")`; the ids are those of `wnids.txt`.
        validation_share: of the training photos, between 0 and 1.
        seed: of the choice of validation photos.

    Returns:
        Both, the second with the superclasses of the list, empty, and `NONE`; None where the list has every class.

    Raises:
        DataError: naming the path or class: a file or folder that is missing or has another form, a class without
            photos, or one with a single training photo.
        InputError: where the share is out of range.
    """
    top = Path(root)
    if (top / FOLDER).is_dir():
        top = top / FOLDER
    if not (top / "train").is_dir():
        raise DataError(f"Tiny ImageNet must lie in train/<id>/images/ and val/ below one folder; {top} has no train/")
    labelled = _test_photos(top / "val")
    rest = _rest(top, classes)
    parts = [*_scan(top, classes, labelled), *([] if rest is None else _scan(top, rest, labelled))]
    test, training, *others = without_copies(parts)
    listing = Listing({**validated(training, validation_share, seed), "test": test}, classes.superclasses, top)
    if rest is None:
        return listing, None
    strange = (*(Superclass(s.name, ()) for s in classes.superclasses), *rest.superclasses)
    return listing, Listing({**validated(others[1], validation_share, seed), "test": others[0]}, strange, top)


def _scan(top: Path, classes: ClassList, labelled: list[tuple[Path, str]]) -> tuple[list[Found], list[Found]]:
    """Test and training photos of the classes."""
    training = class_folders(top / "train", classes)
    by_id = {c.id: c for c in classes.classes}
    test = [Found(by_id[wnid].superclass, by_id[wnid].name, path) for path, wnid in labelled if wnid in by_id]
    if missing := sorted(f.path.name for f in test if not f.path.is_file()):
        raise DataError(f"{top}/val/images must hold what val_annotations.txt names; it lacks {listed(missing)}")
    present = {f.class_name for f in test}
    if absent := [f"{c.id} ({c.name})" for c in classes.classes if c.name not in present]:
        raise DataError(
            f"{top}/val/val_annotations.txt must name photos of each class of {classes.name!r}; it names none "
            f"of {listed(absent)}"
        )
    return test, training


def _test_photos(folder: Path) -> list[tuple[Path, str]]:
    """The photos of `val`, each with its class."""
    annotations, images = folder / "val_annotations.txt", folder / "images"
    found = []
    for number, line in enumerate(_lines(annotations), 1):
        name, *fields = line.split("\t")
        if not fields or (images / name).parent != images or name == "..":
            raise DataError(
                f"{annotations} must give in each line the name of a file in {images}, a tab, and an id; line {number} "
                f"is {line[:80]!r}"
            )
        found.append((images / name, fields[0]))
    return found


def _rest(top: Path, classes: ClassList) -> ClassList | None:
    """The classes of the set that the list leaves out, called by their first word."""
    known = {c.id for c in classes.classes}
    if not (left := [wnid for wnid in sorted(_lines(top / "wnids.txt")) if wnid not in known]):
        return None
    words = dict(line.split("\t", 1) for line in _lines(top / "words.txt") if "\t" in line)
    first = {wnid: words.get(wnid, wnid).split(",")[0].strip() for wnid in left}
    often = Counter(first.values())
    names = {wnid: name if often[name] == 1 else f"{name} {wnid}" for wnid, name in first.items()}
    return ClassList(
        "the other classes of Tiny ImageNet", "wnids.txt", tuple(ListedClass(names[w], w, NONE) for w in left)
    )


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is a text file of Tiny ImageNet and cannot be read: {error}") from None
