"""Photos that stay where they are, decoded when they are asked for: memory does not grow with their number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.errors import DataError
from eas_train.data.decode import read_photo
from eas_train.data.imageset import Superclass

UNLABELLED = -1
"""The target of a photo whose class nobody has said."""

Index = npt.NDArray[np.int64]


class PhotoStore(Protocol):
    """Where photos are."""

    def __len__(self) -> int: ...

    def read(self, index: int, at_least: int = 0) -> Tensor:
        """One of them, uint8 3 x H x W, upright; large ones may be decoded at a part of their size, but for
        `at_least` pixels a side."""
        ...

    def name(self, index: int) -> str:
        """What to call it."""
        ...

    def take(self, index: Index) -> PhotoStore:
        """Some of them."""
        ...

    def key(self, index: int) -> str:
        """Identifies one of them, whatever others there are, in hex."""
        ...

    def digest(self) -> str:
        """Identifies them all, in hex."""
        ...


@dataclass(frozen=True, eq=False)
class PhotoFiles:
    """Image files below a folder.

    Names are one array of bytes, not a list of texts: worker processes share its memory, where reference counts of
    a list's entries would copy it page by page.

    Attributes:
        names: bytes [N], below `root`, as the system has them.
    """

    root: Path
    names: npt.NDArray[np.bytes_]

    @classmethod
    def of(cls, root: Path, files: Sequence[Path]) -> PhotoFiles:
        """From paths below `root`."""
        names = [os.fsencode(file.relative_to(root)) for file in files]
        return cls(root, np.array(names) if names else np.empty(0, "S1"))

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        return self.root / self.name(index)

    def read(self, index: int, at_least: int = 0) -> Tensor:
        return read_photo(self.path(index), at_least)

    def name(self, index: int) -> str:
        return os.fsdecode(bytes(self.names[index]))

    def take(self, index: Index) -> PhotoFiles:
        return PhotoFiles(self.root, self.names[index])

    def key(self, index: int) -> str:
        return hashlib.sha256(self._fact(index)).hexdigest()

    def digest(self) -> str:
        """SHA-256 of names and lengths. What is in a file is not read: of a hundred thousand it would take minutes."""
        total = hashlib.sha256()
        for index in range(len(self)):
            total.update(self._fact(index))
        return total.hexdigest()

    def _fact(self, index: int) -> bytes:
        return bytes(self.names[index]) + b"\0" + str(self.path(index).stat().st_size).encode() + b"\0"


@dataclass(frozen=True, eq=False)
class PhotoPixels:
    """Small photos that are in memory, as CIFAR's: uint8 [N, H, W, 3]."""

    pixels: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise DataError(f"photos must be uint8 [N, H, W, 3], got {self.pixels.dtype} {list(self.pixels.shape)}")

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, index: int, at_least: int = 0) -> Tensor:
        return torch.from_numpy(self.pixels[index].copy()).permute(2, 0, 1)

    def name(self, index: int) -> str:
        return f"{index:06}"

    def take(self, index: Index) -> PhotoPixels:
        return PhotoPixels(self.pixels[index])

    def key(self, index: int) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.pixels[index]).data).hexdigest()

    def digest(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest()


@dataclass(frozen=True, eq=False)
class PhotosJoined:
    """The photos of several stores, one after another."""

    parts: tuple[PhotoStore, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def _at(self, index: int) -> tuple[PhotoStore, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def read(self, index: int, at_least: int = 0) -> Tensor:
        part, own = self._at(index)
        return part.read(own, at_least)

    def name(self, index: int) -> str:
        part, own = self._at(index)
        return part.name(own)

    def take(self, index: Index) -> PhotoStore:
        return PhotosTaken(self, index)

    def key(self, index: int) -> str:
        part, own = self._at(index)
        return part.key(own)

    def digest(self) -> str:
        return hashlib.sha256("".join(part.digest() for part in self.parts).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class PhotosTaken:
    """Some photos of a store."""

    store: PhotoStore
    index: Index

    def __len__(self) -> int:
        return len(self.index)

    def read(self, index: int, at_least: int = 0) -> Tensor:
        return self.store.read(int(self.index[index]), at_least)

    def name(self, index: int) -> str:
        return self.store.name(int(self.index[index]))

    def take(self, index: Index) -> PhotosTaken:
        return PhotosTaken(self.store, self.index[index])

    def key(self, index: int) -> str:
        return self.store.key(int(self.index[index]))

    def digest(self) -> str:
        return hashlib.sha256(self.store.digest().encode() + self.index.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """Photos of any height and width with labels.

    Attributes:
        store: where they are.
        targets: int64 [N], indices into `classes`; all of them `UNLABELLED` where nobody has said them.
        superclasses: a partition of the classes; their order is the order of `classes`.

    Raises:
        DataError: where lengths, targets or the classes do not agree.
    """

    store: PhotoStore
    targets: npt.NDArray[np.int64]
    superclasses: tuple[Superclass, ...]

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.store),) or self.targets.dtype != np.int64:
            got = f"{self.targets.dtype} {list(self.targets.shape)}"
            raise DataError(f"targets must be int64 [{len(self.store)}], one for each photo, got {got}")
        if len(self) and not (self.targets == UNLABELLED).all():
            low, high = int(self.targets.min()), int(self.targets.max())
            if not 0 <= low <= high < len(self.classes):
                raise DataError(f"targets must lie in 0..{len(self.classes) - 1}, got {low}..{high}")
        if len(set(self.classes)) != len(self.classes):
            twice = sorted({c for c in self.classes if self.classes.count(c) > 1})
            raise DataError(f"class names must be unique, these are not: {', '.join(twice)}")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, ordered by superclass."""
        return tuple(c for s in self.superclasses for c in s.class_names)

    def __len__(self) -> int:
        return len(self.store)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what identifies the photos (see the stores) and of labels, in hex."""
        return hashlib.sha256(self.store.digest().encode() + self.targets.tobytes()).hexdigest()

    def take(self, index: Index) -> PhotoSet:
        """Some of the photos, over the same classes."""
        return PhotoSet(self.store.take(index), self.targets[index], self.superclasses)
