"""What a published network says of photos that nobody has labelled: their labels, where there are none."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from eas_sdk.errors import DataError
from eas_sdk.space.protocol import size_of
from eas_train import checkpoint
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.photoset import PhotoSet
from eas_train.data.splits import Images, Splits
from eas_train.progress import progress
from eas_train.supernet.teacher import Teacher

BATCH = 64
KEY = 16
"""Digits of its key that a photo is known by."""
SAVE_EVERY_S = 30.0
SURE = 0.3
"""A photo validates or tests only where the probability of its class is at least this."""
HELD_OUT = 0.1
"""Of a class, for validation and again for test ..."""
MOST_HELD_OUT = 4
"""... but no more photos than so many: few of many classes say more than many of a few."""


def answered(photos: PhotoSet, teacher: Teacher, folder: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The class that the teacher finds most probable for each photo, int64 [N], and its probability, float32 [N].

    Of each photo it sees the central square. What it has answered is kept in `folder`, and not asked again, though
    other photos come or go.

    Raises:
        DataError: a photo cannot be read.
        TrainingError: what was kept is damaged.
    """
    size = size_of(teacher.net.space, teacher.architecture)
    device = next(teacher.net.parameters()).device
    cache = folder / f"answers-{teacher.digest[:16]}.pt"
    state = checkpoint.load(cache, recipe=teacher.digest)
    known: dict[str, tuple[int, float]] = {}
    if state is not None:
        kept = zip(state["classes"].tolist(), state["probabilities"].tolist(), strict=True)
        known = dict(zip(state["photos"], kept, strict=True))
    keys = [photos.store.key(i)[:KEY] for i in range(len(photos))]
    missing = [i for i, key in enumerate(keys) if key not in known]

    def save() -> None:
        classes, probabilities = zip(*known.values(), strict=True)
        made = {"classes": torch.tensor(classes), "probabilities": torch.tensor(probabilities)}
        checkpoint.save(cache, {"recipe": teacher.digest, "photos": list(known), **made})

    saved = time.monotonic()
    if missing:
        with progress("answers of the published network", len(photos), len(photos) - len(missing)) as update:
            for start in range(0, len(missing), BATCH):
                part = np.array(missing[start : start + BATCH])
                images, _ = fixed_views(photos.take(part), 1, size, device)
                probability, found = teacher(images).float().softmax(1).max(1)
                for i, which, how_sure in zip(part.tolist(), found.tolist(), probability.tolist(), strict=True):
                    known[keys[i]] = which, how_sure
                if time.monotonic() - saved >= SAVE_EVERY_S or start + BATCH >= len(missing):
                    save()
                    saved = time.monotonic()
                update(len(photos) - len(missing) + start + len(part), "")
    answers = [known[key] for key in keys]
    return np.array([c for c, _ in answers], np.int64), np.array([p for _, p in answers], np.float32)


def labelled_by(photos: PhotoSet, teacher: Teacher, folder: Path, *, seed: int = 0) -> Splits[Images]:
    """Photos with the teacher's answers as labels. What it is sure of, of each class a few, validates and tests.

    Superclasses of which no photo can validate or test are left out, and photos that seem to be of them.

    Args:
        photos: without labels, beside the superclasses that the teacher knows.
        folder: keeps the answers.

    Raises:
        DataError: none is left; and see `answered`.
    """
    found, probabilities = answered(photos, teacher, folder)
    known = PhotoSet(photos.store, found, photos.superclasses)
    held: dict[str, list[int]] = {"validation": [], "test": []}
    rng = np.random.default_rng(seed)
    for target in range(len(known.classes)):
        mine = np.flatnonzero((found == target) & (probabilities >= SURE))
        each = min(MOST_HELD_OUT, len(mine) // 3, math.ceil(HELD_OUT * len(mine)))
        drawn = rng.permutation(mine)[: 2 * each].tolist()
        held["validation"] += drawn[:each]
        held["test"] += drawn[each:]
    owner = superclass_of_class(known.superclasses)
    judged = set(owner[found[held["validation"]]].tolist())
    if not judged:
        raise DataError(
            "three photos of a class, or more, of which the published network is sure, let it validate and test; "
            f"there is no such class among {len(photos)} photos"
        )
    kept = tuple(s for t, s in enumerate(known.superclasses) if t in judged)
    place = np.full(len(known.classes), -1)
    place[np.isin(owner, list(judged))] = np.arange(sum(len(s.class_names) for s in kept))
    narrow = np.flatnonzero(place[found] >= 0)
    rest = np.setdiff1d(narrow, [*held["validation"], *held["test"]])

    def part(index: npt.NDArray[np.int64]) -> Images:
        return PhotoSet(known.store.take(index), place[found[index]], kept)

    return Splits(part(rest), *(part(np.sort(np.array(held[name], np.int64))) for name in ("validation", "test")))
