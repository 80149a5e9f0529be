"""Images in class folders whose superclasses a class list gives: `root/<class or id>/image.png`.

Splits are those of `own_photos`: folders `train`, `val` and `test`, or two of them, or none.
"""

from __future__ import annotations

import os
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES
from eas_sdk.names import same
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.folder import class_images, folders_of, images_of
from eas_train.data.listing import Found, Listing
from eas_train.data.own_photos import complete, split_folders


def list_flat(root: str | os.PathLike[str], classes: ClassList, seed: int = 0) -> Listing:
    """The images of a folder of class folders as three splits, with classes in the order of the list.

    Args:
        root: the folder; the folders in it bear the name or the id of a class.
        classes: the list, see `class_lists.read_list`.
        seed: of the division into splits, where the tree has none.

    Raises:
        DataError: naming the path or class: a folder that is not on the list, a class without a folder (validation
            and test may lack some), two folders of one class, an image outside of a class folder, an empty folder,
            or fewer than three images of a class where they must be divided.
    """
    top = Path(root)
    if not top.is_dir():
        raise DataError(f"{top} must be a folder of class folders, and it is no folder")
    folders = split_folders(top) or {"": top}
    parts = {split: _scan(folder, classes, whole=split in ("", "train")) for split, folder in folders.items()}
    found, division = complete(parts, seed)
    return Listing(found, classes.superclasses, top, f"class folders of the list {classes.name!r}; {division}")


def _scan(top: Path, classes: ClassList, *, whole: bool) -> list[Found]:
    """The images below `top`, by class in the order of the list; with `whole` every class must be there."""
    if loose := images_of(top):
        raise DataError(f"images must lie in class folders below {top}, and {loose[0]} does not")
    folders = {same(f.name): f for f in folders_of(top)}
    odd = sorted(set(folders) - {name for c in classes.classes for name in (c.name, c.id)})
    missing = sorted(c.name for c in classes.classes if whole and not {c.name, c.id} & set(folders))
    if odd or missing:
        rule = f"the folders of {top} must bear the names or ids of the classes of {classes.name!r}"
        wrong = [f"not on the list: {listed(odd)}"] * bool(odd) + [f"missing: {listed(missing)}"] * bool(missing)
        raise DataError(f"{rule}; {'; '.join(wrong)}")
    found: list[Found] = []
    for c in classes.classes:
        own = [folders[name] for name in dict.fromkeys((c.name, c.id)) if name in folders]
        if len(own) > 1:
            raise DataError(f"a class must have one folder; {c.name!r} has {own[0]} and {own[1]}")
        found += [Found(c.superclass, c.name, image) for folder in own for image in class_images(folder)]
    if not found:
        raise DataError(f"{top} holds no images; they must lie in class folders and end in {', '.join(SUFFIXES)}")
    return found
