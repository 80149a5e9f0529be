"""Labelled images of one's own, as they lie: what a folder or a list of files is, is found by looking at it.

- `class/image`: one superclass, named after the folder.
- `superclass/class/image`.
- either of them below `train/` and `val/`, with or without `test/`.
- a file .csv or .json that lists paths and labels.

Where a part is missing it is made: see `complete`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eas_sdk.errors import DataError, closest
from eas_sdk.image_file import SUFFIXES
from eas_train.data.class_lists import listed
from eas_train.data.division import HELD_OUT, divide, validated
from eas_train.data.folder import class_images, folders_of, images_of
from eas_train.data.imageset import Superclass
from eas_train.data.labels import NONE
from eas_train.data.listing import SPLITS, Found, Listing

NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What people call the three splits."""

LISTS = (".csv", ".json")
COLUMNS = {
    **dict.fromkeys(("path", "file", "filename", "image"), "path"),
    **dict.fromkeys(("label", "class"), "label"),
    "superclass": "superclass",
    "split": "split",
}
"""What the columns of a list may be called; `path` and `label` are needed."""

Parts = dict[str, list[Found]]


@dataclass(frozen=True, eq=False)
class Own:
    """Images of one's own as they lie, before they are divided.

    Attributes:
        place: the folder, or the list.
        parts: the splits that are given, sorted; the one key "" where there are none.
        form: what they were taken for, in words.
    """

    place: Path
    parts: Mapping[str, Sequence[Found]]
    form: str

    @cached_property
    def base(self) -> Path:
        """What names are relative to."""
        return self.place if self.place.is_dir() else Path(os.path.abspath(self.place.parent))

    def name(self, path: Path) -> str:
        """Of a file: relative to the folder, or to that of the list where it lies below it."""
        return path.relative_to(self.base).as_posix() if path.is_relative_to(self.base) else str(path)

    def without(self, names: Collection[str]) -> Own:
        """As if files of these names were not there.

        Raises:
            DataError: nothing of a class is left.
        """
        out = frozenset(names)
        kept = {split: [f for f in files if self.name(f.path) not in out] for split, files in self.parts.items()}
        left = {f.class_name for files in kept.values() for f in files}
        if gone := sorted({f.class_name for files in self.parts.values() for f in files} - left):
            raise DataError(f"every class must have images; of these all are left out: {listed(gone)}")
        return Own(self.place, {split: files for split, files in kept.items() if files}, self.form)

    def listing(self, seed: int = 0) -> Listing:
        """Divided; see `list_own`."""
        top = self.place
        if not top.is_dir():
            top = Path(os.path.commonpath([f.path.parent for files in self.parts.values() for f in files]))
        found, division = complete(self.parts, seed)
        superclasses = superclasses_of([file for split in SPLITS for file in found[split]])
        trained = {file.class_name for file in found["train"]}
        if untrained := sorted({f.class_name for split in SPLITS for f in found[split]} - trained):
            raise DataError(f"every class must have training images; of these {top} has none: {', '.join(untrained)}")
        return Listing(found, superclasses, top, f"{self.form}; {division}")


def find_own(path: str | os.PathLike[str]) -> Own:
    """The images of a folder or of a list.

    Args:
        path: a folder in one of the forms above, or a list; its paths are relative to its own folder. Files with other
            suffixes and names that begin with a dot are passed over in folders.

    Raises:
        DataError: naming the path or the line: no images, images at different depths, an empty class.
    """
    top = Path(path)
    if top.suffix.lower() in LISTS and top.is_file():
        return Own(top, _listed(top), f"the list {top.name}")
    if top.is_dir():
        return Own(top, *_below(top))
    raise DataError(f"images lie in a folder, or a file {' or '.join(LISTS)} lists them; {top} is neither")


def list_own(path: str | os.PathLike[str], seed: int = 0, *, without: Collection[str] = ()) -> Listing:
    """The images of a folder or of a list as three splits over the same classes, sorted; see `find_own`.

    Args:
        seed: of the division into splits, where they are not given.
        without: names of files that are left out, as if they were not there.

    Raises:
        DataError: as `find_own` does, or naming the class: one in two superclasses, too few images of a class, or one
            of validation or test that training lacks.
    """
    own = find_own(path)
    return (own.without(without) if without else own).listing(seed)


def list_others(
    root: str | os.PathLike[str],
    superclasses: Sequence[Superclass],
    seed: int = 0,
    *,
    without: Collection[str] = (),
) -> Listing:
    """The images of a folder of other classes, for a router; see `list_own`.

    Args:
        superclasses: those of the bank. Folders have their names, or `NONE` for what belongs to none of them.

    Raises:
        DataError: as `list_own` does, or a folder has another name.
    """
    listing = list_own(root, seed, without=without)
    known = [s.name for s in superclasses]
    given = {s.name: s.class_names for s in listing.superclasses}
    if odd := sorted(set(given) - {*known, NONE}):
        raise DataError(
            f"folders of other classes are named after a superclass ({', '.join(known)}), or {NONE!r}; {root} has "
            f"{', '.join(odd)}"
        )
    ordered = tuple(Superclass(name, given.get(name, ())) for name in (*known, NONE))
    return Listing(listing.found, ordered, listing.top)


def complete(parts: Mapping[str, Sequence[Found]], seed: int) -> tuple[Parts, str]:
    """{split: images} for all three, and how they came about.

    - of none, each class is divided by a seeded draw: 70% train, 15% validate, 15% test.
    - of `train` and one other, that one is the test, which nothing chooses by, and a share of `train` validates.

    Args:
        parts: the splits that are given; the one key "" where there are none.

    Raises:
        DataError: there is no `train`, or a class has too few images to be divided.
    """
    if set(parts) == {""}:
        return divide(parts[""], seed), f"divided by a seeded draw, {HELD_OUT:.0%} each to validate and to test"
    if "train" not in parts or len(parts) == 1:
        raise DataError(f"images that are divided have a part `train` and a part `val`; these have {', '.join(parts)}")
    if len(parts) == len(SPLITS):
        return {split: list(parts[split]) for split in SPLITS}, "divided as it is"
    (other,) = set(parts) - {"train"}
    made = validated(parts["train"], HELD_OUT, seed) | {"test": list(parts[other])}
    return made, f"`{other}` is the test, and a seeded {HELD_OUT:.0%} of `train` validate"


def superclasses_of(found: Iterable[Found]) -> tuple[Superclass, ...]:
    """The superclasses and their classes, sorted by name.

    Raises:
        DataError: naming a class that has two superclasses.
    """
    first: dict[str, Found] = {}
    for file in found:
        other = first.setdefault(file.class_name, file)
        if other.superclass != file.superclass:
            raise DataError(
                f"a class must have one superclass; {file.class_name!r} is of {other.superclass!r} in "
                f"{other.path.parent} and of {file.superclass!r} in {file.path.parent}"
            )
    names = sorted({file.superclass for file in first.values()})
    return tuple(Superclass(n, tuple(sorted(c for c, f in first.items() if f.superclass == n))) for n in names)


def split_folders(top: Path) -> dict[str, Path]:
    """The folders of `top` by split, or none: one `train` beside folders of other names is a class of trains.

    Raises:
        DataError: a split is there twice, or two of them and other folders.
    """
    folders = folders_of(top)
    splits = [NAMES.get(folder.name.lower(), "") for folder in folders]
    if "train" not in splits or sum(map(bool, splits)) < 2:
        return {}
    if odd := [folder.name for folder, split in zip(folders, splits, strict=True) if not split]:
        raise DataError(f"a divided folder holds train, val and test, and no other folder; {top} has {', '.join(odd)}")
    if twice := [name for name, count in Counter(splits).items() if count > 1]:
        same = ", ".join(folder.name for folder, split in zip(folders, splits, strict=True) if split == twice[0])
        raise DataError(f"a folder has one part `{twice[0]}`; {top} has {same}")
    return dict(zip(splits, folders, strict=True))


def _below(top: Path) -> tuple[Parts, str]:
    """The images of a folder by split (see `complete`), and its form in words."""
    if folders := split_folders(top):
        scanned = {split: _scan(folder, top.resolve().name) for split, folder in folders.items()}
        forms = {form for _, form in scanned.values()}
        if len(forms) > 1:
            raise DataError(f"the parts of a folder have one form; those of {top} are {' and '.join(sorted(forms))}")
        names = "+".join(folder.name for folder in folders.values())
        return {split: found for split, (found, _) in scanned.items()}, f"{names}/{forms.pop()}"
    found, form = _scan(top, top.resolve().name)
    return {"": found}, form


def _scan(top: Path, name: str) -> tuple[list[Found], str]:
    """The images of `class/image`, whose superclass has that name, or of `superclass/class/image`, and which it is."""
    if loose := images_of(top):
        raise DataError(f"images must lie in folders named after their classes; {loose[0]} does not")
    folders = folders_of(top)
    of_images = [folder for folder in folders if images_of(folder)]
    of_folders = [folder for folder in folders if folders_of(folder)]
    if of_images and of_folders:
        raise DataError(
            f"images must lie in class/image or in superclass/class/image, the same everywhere below {top}; "
            f"{of_images[0]} holds images, and {of_folders[0]} folders"
        )
    if of_folders:
        classes = [(group.name, inner) for group in folders for inner in folders_of(group)]
        form = "superclass/class/image"
    else:
        classes, form = [(name, folder) for folder in folders], "class/image"
    found = [Found(group, folder.name, image) for group, folder in classes for image in class_images(folder)]
    if not found:
        raise DataError(
            f"{top} holds no images; they must lie in class/image or in superclass/class/image and end in "
            f"{', '.join(SUFFIXES)}"
        )
    return found, form


def _listed(path: Path) -> Parts:
    """The images of a list by split (see `complete`)."""
    parts: Parts = {}
    for place, row in _rows(path):
        keys = {key: COLUMNS.get(str(key).strip().lower()) for key in row}
        given = {name: str(row[key]).strip() for key, name in keys.items() if name and row[key] is not None}
        for needed in ("path", "label"):
            if not given.get(needed):
                raise DataError(
                    f"{place} lacks a {needed!r}; columns are {', '.join(COLUMNS)}, it has {', '.join(map(str, row))}"
                )
        split = given.get("split", "")
        if split and split.lower() not in NAMES:
            raise DataError(f"{place}: a split is one of {', '.join(NAMES)}; got {split!r}; {closest(split, NAMES)}")
        image = Path(os.path.abspath(path.parent / given["path"]))
        if not image.is_file():
            raise DataError(f"{place}: there is no file {image}")
        superclass = given.get("superclass") or path.stem
        parts.setdefault(NAMES[split.lower()] if split else "", []).append(Found(superclass, given["label"], image))
    if not parts:
        raise DataError(f"{path} lists no images")
    if "" in parts and len(parts) > 1:
        raise DataError(f"{path} names a split for every image or for none; it does for some")
    for found in parts.values():
        found.sort(key=lambda file: (file.superclass, file.class_name, file.path))
    return parts


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a list, each with its place in words."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return [
                (f"{path}, row {i}", row)
                for i, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2)
            ]
        data = json.loads(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is no {path.suffix[1:].upper()} in UTF-8: {error}") from None
    if isinstance(data, dict):  # {path: label}
        data = [{"path": name, "label": label} for name, label in data.items()]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path} must hold [{{'path': ..., 'label': ...}}, ...] or {{path: label, ...}}")
    return [(f"{path}, entry {i}", row) for i, row in enumerate(data, start=1)]
