"""Labelled images with their superclasses and sources, in memory and in one folder on disk.

The folder holds `images.npy` (memory-mappable) and `manifest.json` (everything else, with the SHA-256 of
`images.npy` and of itself). The manifest is written last: a folder without one is an unfinished write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.atomic import replacing, write_atomically
from eas_sdk.errors import DataError
from eas_sdk.names import is_utf8
from eas_train.data.files import digest_of

FORMAT = "eas-imageset"
VERSION = 1


@dataclass(frozen=True)
class Superclass:
    """A named group of classes, the unit in which a task is stated.

    Raises:
        DataError: a name is not text that can be written in UTF-8, as that of a folder in another encoding.
    """

    name: str
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in (self.name, *self.class_names):
            if not name or not is_utf8(name):
                raise DataError(f"names of classes and superclasses are text in UTF-8, folders' too; got {name!r}")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Square images with labels.

    Attributes:
        images: uint8 [N, S, S, 4], RGBA with straight (not premultiplied) alpha; may be a read-only memmap.
        targets: int64 [N], indices into `classes`.
        classes: class names, ordered by superclass.
        superclasses: a partition of `classes`, in the same order.
        sources: [N], who drew or where from, for each image (a style, a folder).
        names: [N], a readable name for each image.

    Raises:
        DataError: where shapes, dtypes, lengths, targets or the partition do not agree.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    superclasses: tuple[Superclass, ...]
    sources: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape, count = self.images.shape, len(self.images)
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 4 or self.images.dtype != np.uint8:
            raise DataError(f"images must be uint8 [N, S, S, 4], got {self.images.dtype} {list(shape)}")
        if self.targets.shape != (count,) or self.targets.dtype != np.int64:
            got = f"{self.targets.dtype} {list(self.targets.shape)}"
            raise DataError(f"targets must be int64 [{count}], one for each image, got {got}")
        if len(self.sources) != count or len(self.names) != count:
            raise DataError(
                f"sources and names must have one entry for each of {count} images, "
                f"got {len(self.sources)} and {len(self.names)}"
            )
        if count and not 0 <= int(self.targets.min()) <= int(self.targets.max()) < len(self.classes):
            low, high = int(self.targets.min()), int(self.targets.max())
            raise DataError(f"targets must lie in 0..{len(self.classes) - 1}, got {low}..{high}")
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({c for c in self.classes if self.classes.count(c) > 1})
            raise DataError(f"class names must be unique, these are not: {', '.join(twice)}")
        if tuple(c for s in self.superclasses for c in s.class_names) != self.classes:
            raise DataError("superclasses must list every class once, in the order of `classes`")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return int(self.images.shape[1])

    def take(self, index: npt.NDArray[np.int64]) -> ImageSet:
        """Some of the images, over the same classes."""
        return ImageSet(
            self.images[index],
            self.targets[index],
            self.classes,
            self.superclasses,
            tuple(self.sources[i] for i in index),
            tuple(self.names[i] for i in index),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels and labels, in hex."""
        total = hashlib.sha256()
        for image in self.images:  # one by one: they may lie on disk
            total.update(np.ascontiguousarray(image).data)
        total.update(self.targets.tobytes())
        return total.hexdigest()


def superclass_of_class(superclasses: Sequence[Superclass]) -> npt.NDArray[np.int64]:
    """int64 [classes]: for each class index the index of its superclass."""
    sizes = [len(s.class_names) for s in superclasses]
    return np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)


def concatenate(parts: Sequence[ImageSet]) -> ImageSet:
    """One image set from several of the same size and superclasses, in the order given.

    Raises:
        DataError: where there is none, or sizes or superclasses differ.
    """
    if not parts:
        raise DataError("concatenate needs at least one image set, got none")
    first = parts[0]
    for part in parts[1:]:
        if part.superclasses != first.superclasses or part.size != first.size:
            raise DataError(
                "image sets can be joined only where image size, classes and superclasses are the same; "
                f"got {first.size} and {part.size} px, {len(first.classes)} and {len(part.classes)} classes"
            )
    return ImageSet(
        np.concatenate([p.images for p in parts]),
        np.concatenate([p.targets for p in parts]),
        first.classes,
        first.superclasses,
        tuple(s for p in parts for s in p.sources),
        tuple(n for p in parts for n in p.names),
    )


def save(images: ImageSet, folder: Path, *, origin: str = "") -> None:
    """Write `images.npy` and `manifest.json` into `folder`; `origin` names the recipe that made the pixels.

    Each file appears whole or not at all, and the manifest comes last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    pixels = np.ascontiguousarray(images.images)
    with replacing(folder / "images.npy") as file:
        np.save(file, pixels, allow_pickle=False)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "origin": origin,
        "images": {
            "bytes": (folder / "images.npy").stat().st_size,
            "sha256": digest_of(folder / "images.npy", "sha256").hex(),
        },
        "targets": images.targets.tolist(),
        "superclasses": {s.name: list(s.class_names) for s in images.superclasses},
        "sources": list(images.sources),
        "names": list(images.names),
    }
    manifest["sha256"] = _digest(manifest)
    write_atomically(folder / "manifest.json", [json.dumps(manifest, indent=0).encode()])


def load(folder: Path) -> ImageSet:
    """Read what `save` wrote; the pixels are a read-only memmap of `images.npy`.

    Raises:
        DataError: where a file is missing, truncated, altered or of another version.
    """
    manifest = read_manifest(folder)
    path, expected = folder / "images.npy", manifest["images"]
    if not path.is_file():
        raise DataError(f"{path} is missing; its manifest is there, so it was removed after it was written")
    if path.stat().st_size != expected["bytes"]:
        raise DataError(f"{path} is truncated or grown: {path.stat().st_size} bytes, expected {expected['bytes']}")
    digest = digest_of(path, "sha256").hex()
    if digest != expected["sha256"]:
        raise DataError(f"{path} was altered: SHA-256 {digest}, expected {expected['sha256']}")
    superclasses = tuple(Superclass(name, tuple(c)) for name, c in manifest["superclasses"].items())
    return ImageSet(
        np.load(path, mmap_mode="r", allow_pickle=False),
        np.asarray(manifest["targets"], dtype=np.int64),
        tuple(c for s in superclasses for c in s.class_names),
        superclasses,
        tuple(manifest["sources"]),
        tuple(manifest["names"]),
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The verified manifest of an image set folder.

    Raises:
        DataError: where it is missing, not JSON, altered or of another version.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path} is missing: no image set was finished in this folder") from None
    except ValueError as error:
        raise DataError(f"{path} is truncated or not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path} is not the manifest of an image set (its `format` must be {FORMAT!r})")
    if manifest.get("version") != VERSION:
        raise DataError(f"{path} has version {manifest.get('version')!r}; this package reads version {VERSION}")
    recorded = manifest.pop("sha256", None)
    if recorded != _digest(manifest):
        raise DataError(f"{path} was altered: its content does not match its own SHA-256")
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
