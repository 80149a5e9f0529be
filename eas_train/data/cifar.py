"""CIFAR-100 in its binary version: `train.bin`, `test.bin` and `fine_label_names.txt`.

A record of a .bin file is a byte of the coarse label, a byte of the fine label, and 32 x 32 pixels as a red, a green
and a blue plane. The Python version of the data set is a pickle, which can run code when it is read, and is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, InputError, MissingDependency
from eas_train.data.class_lists import ClassList, listed
from eas_train.data.folder import hold_out, reading
from eas_train.data.imageset import ImageSet
from eas_train.data.splits import Splits

FOLDER = "cifar-100-binary"
FILES = ("train.bin", "test.bin", "fine_label_names.txt")
SIDE = 32
RECORD = 2 + 3 * SIDE * SIDE  # bytes
FINE, COARSE = 100, 20  # labels


def load_cifar(
    root: str | os.PathLike[str], classes: ClassList, size: int = SIDE, *, validation_share: float = 0.1, seed: int = 0
) -> Splits[ImageSet]:
    """Read the listed classes of CIFAR-100; images of other classes are passed over.

    Validation is a seeded share of each class's training images. The coarse labels are not used: the list says which
    superclass a class belongs to.

    Args:
        root: the folder `cifar-100-binary`, or the one that holds it.
        classes: such as `read_list("cifar-100")`; the ids are fine labels.
        size: side of the images in pixels; other than 32 they are resized.
        validation_share: of the training images, between 0 and 1.
        seed: of the choice of validation images.

    Raises:
        DataError: naming the file or class: a file that is missing, truncated or altered, an id that is not a fine
            label, or a class without images.
        InputError: where the share or the size is out of range.
        MissingDependency: where images are resized and Pillow is not installed, or rich is not.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    top = _folder(Path(root))
    labels = _labels(top / "fine_label_names.txt")
    if unknown := [c.id for c in classes.classes if c.id not in labels]:
        raise DataError(f"ids of {classes.name!r} must be fine labels of {top}; not among them: {listed(unknown)}")
    place = np.full(FINE, -1, np.int64)  # of a fine label among the classes
    place[[labels.index(c.id) for c in classes.classes]] = np.arange(len(classes.classes))
    records = {split: _records(top / f"{split}.bin") for split in ("train", "test")}
    kept = {split: np.flatnonzero(place[found[:, 1]] >= 0) for split, found in records.items()}
    for split, rows in kept.items():
        drawn = set(place[records[split][rows, 1]].tolist())
        if absent := [c.id for i, c in enumerate(classes.classes) if i not in drawn]:
            raise DataError(f"{top / split}.bin must have images of every class; it lacks {listed(absent)}")
    names = [classes.classes[i].name for i in place[records["train"][kept["train"], 1]]]
    held_out = hold_out(names, validation_share, seed)
    chosen = (("train", kept["train"][~held_out]), ("train", kept["train"][held_out]), ("test", kept["test"]))
    done, parts = 0, []
    with reading(sum(len(rows) for _, rows in chosen)) as update:
        for split, rows in chosen:
            images = np.empty((len(rows), size, size, 4), np.uint8)
            for i, row in enumerate(rows):
                images[i] = _picture(records[split][row, 2:], size)
                update(done + i + 1, split)
            done += len(rows)
            parts.append(
                ImageSet(
                    images,
                    place[records[split][rows, 1]],
                    tuple(c.name for c in classes.classes),
                    classes.superclasses,
                    (top.resolve().name,) * len(rows),
                    tuple(f"{split}/{row:05}" for row in rows),
                )
            )
    return Splits(*parts)


def _folder(root: Path) -> Path:
    for folder in (root, root / FOLDER):
        if (folder / "train.bin").is_file():
            if missing := [name for name in FILES if not (folder / name).is_file()]:
                raise DataError(f"{folder} must hold {', '.join(FILES)}; it lacks {', '.join(missing)}")
            return folder
    pickled = root.name == "cifar-100-python" or (root / "cifar-100-python").exists() or (root / "meta").is_file()
    found = "has the Python version, a pickle, which can run code when it is read" if pickled else "has none of these"
    raise DataError(
        f"CIFAR-100 is read from the binary version, {', '.join(FILES)}; {root} {found}. Unpack {FOLDER}.tar.gz there, "
        "which the CIFAR page (www.cs.toronto.edu/~kriz/cifar.html) calls suitable for C programs"
    )


def _labels(path: Path) -> list[str]:
    try:
        labels = path.read_text(encoding="ascii").split()
    except ValueError:
        raise DataError(f"{path} must hold {FINE} labels, one a line; it is not text") from None
    if len(set(labels)) != FINE or len(labels) != FINE:
        raise DataError(f"{path} must hold {FINE} different labels, one a line; got {len(set(labels))}")
    return labels


def _records(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [N, 3074]."""
    size = path.stat().st_size
    if not size or size % RECORD:
        raise DataError(f"{path} is truncated or altered: {size} bytes must be a multiple of {RECORD}, and not 0")
    records = np.fromfile(path, np.uint8).reshape(-1, RECORD)
    coarse, fine = int(records[:, 0].max()), int(records[:, 1].max())
    if coarse >= COARSE or fine >= FINE:
        raise DataError(
            f"{path} is altered: coarse labels must lie in 0..{COARSE - 1} and fine ones in 0..{FINE - 1}, "
            f"got {coarse} and {fine}"
        )
    return records


def _picture(planes: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """uint8 [size, size, 4] from three planes of 32 x 32."""
    rgba = np.full((SIDE, SIDE, 4), 255, np.uint8)
    rgba[..., :3] = planes.reshape(3, SIDE, SIDE).transpose(1, 2, 0)
    if size == SIDE:
        return rgba
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(
            f"resizing images needs Pillow ({error}); install the extra `train`: pip install 'eas-sdk[train]'"
        ) from None
    return np.asarray(Image.fromarray(rgba).resize((size, size), Image.Resampling.BICUBIC))
