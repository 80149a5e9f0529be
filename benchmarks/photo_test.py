"""Test photos with ImageNet's classes, and what networks make of them: for the benchmarks of the photo bank."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.bootstrap import interval
from eas_sdk.image_file import read_image
from eas_sdk.images import to_square
from eas_sdk.model import Model
from eas_sdk.runtime import Runtime
from eas_train.pretrained.labels import imagenet_rows

SIDE = 256
"""Photos are kept as squares of this side; every network brings them to its own."""
BATCH = 50

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TestPhotos:
    """Photos and what they show.

    Attributes:
        pixels: uint8 [N, SIDE, SIDE, 3].
        targets: [N], indices of the bundle's labels; superclass: [N], of its superclasses.
        owner: [C], the superclass of every label.
    """

    __test__ = False  # a class of pytest's by its name

    pixels: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]
    superclass: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def top1(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Of logits over all labels: which photos are right, [N]."""
        return right(logits, self.targets)

    def within(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Which are right among the labels of their own superclass, [N]."""
        known = self.owner[None] == self.superclass[:, None]
        return right(np.where(known, logits, -np.inf), self.targets)


def read_test_photos(folder: Path, runtime: Runtime) -> TestPhotos:
    """Photos of a folder with labels.csv: file, imagenet_index."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = [(row["file"], int(row["imagenet_index"])) for row in csv.DictReader(file)]
    label_of_row = {row: label for label, row in enumerate(imagenet_rows(runtime.bundle.labels))}
    targets = np.array([label_of_row[row] for _, row in rows])
    superclasses = runtime.bundle.superclasses
    owner = np.repeat(np.arange(len(superclasses)), [len(superclass.labels) for superclass in superclasses])
    return TestPhotos(read_squares([folder / name for name, _ in rows]), targets, owner[targets], owner)


def right(logits: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """1 where the most probable label is the target, 0 elsewhere, [N]."""
    hits: npt.NDArray[np.bool_] = logits.argmax(1) == targets
    return hits.astype(np.float64)


def read_squares(files: Sequence[Path]) -> npt.NDArray[np.uint8]:
    """uint8 [N, SIDE, SIDE, 3]."""
    squares: npt.NDArray[np.uint8] = np.stack([to_square(read_image(file), SIDE) for file in files])
    return squares


def logits_of(model: Model, pixels: npt.NDArray[np.uint8]) -> Logits:
    """[N, labels of the model], by its own engine."""
    return np.concatenate([model.logits(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def percent(values: npt.NDArray[np.float64]) -> list[float]:
    """Mean and its 95% interval over photos, in per cent."""
    return [round(100 * value, 2) for value in interval(values)]
