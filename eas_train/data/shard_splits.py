"""Photos in tar shards, as WebDataset's and img2dataset's tools write them, as the splits of a training.

::

    root/train/*.tar    root/validation/*.tar (or val/)    root/test/*.tar
    root/train-*.tar    root/validation-*.tar (or val-)    root/test-*.tar

A batch is made of a few shards (`order.ShardEpochs`), so that each of them should hold a mixture of all classes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.cache import cache_folder
from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES
from eas_sdk.names import same
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.division import hold_out
from eas_train.data.folder import entries
from eas_train.data.imageset import Superclass
from eas_train.data.photoset import UNLABELLED, PhotoSet
from eas_train.data.shard_index import NO_LABEL, ShardIndex, index_shards
from eas_train.data.shards import PhotoShards
from eas_train.data.splits import Splits

SUFFIX = ".tar"
NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


def load_shards(
    root: str | os.PathLike[str], classes: ClassList, *, validation_share: float = 0.1, seed: int = 0
) -> Splits[PhotoSet]:
    """The photos of a folder of shards, over the classes of a list. No photo is read.

    Without shards for validation, a seeded share of each class's training photos validates.

    Args:
        root: the folder.
        classes: the list, see `labelled` for how labels lead to its classes.
        validation_share: of the training photos, between 0 and 1.
        seed: of the choice of validation photos.

    Raises:
        DataError: naming the path, the label or the class: no shards for training or test, shards of one split in two
            places, a shard that cannot be read, photos without labels, a label that is not on the list, or a class
            without training photos.
        InputError: where the share is out of range.
    """
    top = Path(root)
    parts = {split: labelled(kept_index(paths), classes) for split, paths in find_shards(top).items()}
    for split, photos in parts.items():
        if (photos.targets == UNLABELLED).all():
            raise DataError(
                f"photos of a split have labels, in members .cls or .json; those for {split} in {top} do not"
            )
    training = parts["train"]
    present = set(np.unique(training.targets).tolist())
    if absent := [c.name for i, c in enumerate(classes.classes) if i not in present]:
        raise DataError(f"every class must have training photos; the shards of {top} have none of {listed(absent)}")
    if "validation" in parts:
        return Splits(training, parts["validation"], parts["test"])
    names = [c.name for c in classes.classes]
    held_out = hold_out([names[target] for target in training.targets.tolist()], validation_share, seed)
    return Splits(training.take(np.flatnonzero(~held_out)), training.take(np.flatnonzero(held_out)), parts["test"])


def find_shards(root: Path) -> dict[str, list[Path]]:
    """{split: its shards, sorted}; "validation" may be missing.

    Raises:
        DataError: naming what is missing, or the two places that shards of one split are in.
    """
    if not root.is_dir():
        raise DataError(f"shards lie in a folder; {root} is no folder")
    loose = [path for path in entries(root) if _is_shard(path)]
    found: dict[str, list[Path]] = {}
    for split, names in NAMES.items():
        places: dict[str, list[Path]] = {}
        for name in names:
            if (root / name).is_dir():
                places[f"{name}/"] = [path for path in entries(root / name) if _is_shard(path)]
            places[f"{name}-*{SUFFIX}"] = [path for path in loose if path.name.startswith(f"{name}-")]
        places = {place: paths for place, paths in places.items() if paths}
        if len(places) > 1:
            raise DataError(f"the shards of a split lie in one place; those for {split} in {root}: {', '.join(places)}")
        if places:
            (found[split],) = places.values()
    if missing := [split for split in ("train", "test") if split not in found]:
        raise DataError(
            f"shards for training and for test lie in {root}, in train/ and test/, or named train-*{SUFFIX} and "
            f"test-*{SUFFIX}; there are none for {' and '.join(missing)}"
        )
    return found


def names_shard(name: str) -> bool:
    """Whether a file's name is that of a shard, and does not begin with a dot."""
    return name.endswith(SUFFIX) and not name.startswith(".")


def kept_index(paths: Sequence[Path]) -> ShardIndex:
    """The samples of shards, by an index that is kept in this machine's cache folder; raises as `index_shards`."""
    which = hashlib.sha256("\0".join(os.path.abspath(path) for path in paths).encode(errors="surrogateescape"))
    return index_shards(paths, cache_folder() / "shards" / f"{which.hexdigest()[:24]}.npz")


def labelled(index: ShardIndex, classes: ClassList) -> PhotoSet:
    """The photos of shards over the classes of a list; without labels, where no photo has one.

    A label is the name or the id of a class. Where the list has neither a name nor an id that is a whole number, a
    label may be one: the place of a class in the list, from 0.

    Raises:
        DataError: naming a label that is not on the list, or a photo without one among others; or no photo is there.
    """
    photos = _photos(index)
    without = np.flatnonzero(index.label == NO_LABEL)
    if len(without) == len(photos):
        return unlabelled(index, classes.superclasses)
    if len(without):
        raise DataError(
            f"either all photos of a set have labels or none has; {len(without)} of {len(photos)} have none, the first "
            f"{photos.name(int(without[0]))}"
        )
    known = _places(classes)
    place = np.array([known.get(same(label), NO_LABEL) for label in index.labels], np.int64)
    targets = place[index.label]
    if len(strange := np.flatnonzero(targets == NO_LABEL)):
        labels = {index.labels[i] for i in np.unique(index.label[strange]).tolist()}
        raise DataError(
            f"labels must be names or ids of the classes of {classes.name!r}{_or_places(classes)}; not on the list: "
            f"{listed(sorted(labels))}, the first at {photos.name(int(strange[0]))}"
        )
    return PhotoSet(photos, targets, classes.superclasses)


def unlabelled(index: ShardIndex, superclasses: Sequence[Superclass]) -> PhotoSet:
    """The photos of shards, whatever their labels, of which no one is said to be of the superclasses."""
    photos = _photos(index)
    targets: npt.NDArray[np.int64] = np.full(len(photos), UNLABELLED, np.int64)
    return PhotoSet(photos, targets, tuple(superclasses))


def _photos(index: ShardIndex) -> PhotoShards:
    if not len(index.shard):
        raise DataError(
            f"shards hold photos, members that end in {', '.join(SUFFIXES)}; {index.paths[0].parent} has none"
        )
    return PhotoShards(index.paths, index.shard, index.offset, index.length)


def _places(classes: ClassList) -> dict[str, int]:
    """What labels may say, and the place in the list."""
    named = {text: i for i, c in enumerate(classes.classes) for text in (c.name, c.id)}
    return named if _numbered(classes) else {str(i): i for i in range(len(classes.classes))} | named


def _or_places(classes: ClassList) -> str:
    return "" if _numbered(classes) else f", or places 0 to {len(classes.classes) - 1}"


def _numbered(classes: ClassList) -> bool:
    """Whether the list itself uses numbers: a label that is one then means that."""
    return any(text.isdecimal() for c in classes.classes for text in (c.name, c.id))


def _is_shard(path: Path) -> bool:
    return names_shard(path.name) and path.is_file()
