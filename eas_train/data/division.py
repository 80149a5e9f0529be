"""Which images of a class train, validate and test, where a data set does not say: a seeded draw for each class."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, InputError
from eas_train.data.class_lists import listed
from eas_train.data.listing import SPLITS, Found

HELD_OUT = 0.15
"""Of a class, for validation and again for test."""


def divide(found: Sequence[Found], seed: int) -> dict[str, list[Found]]:
    """{split: images}: each class divided by a draw that depends on (seed, class name) alone.

    Raises:
        DataError: naming the classes that have fewer than three images.
    """
    by_class: dict[tuple[str, str], list[Found]] = {}
    for file in found:
        by_class.setdefault((file.superclass, file.class_name), []).append(file)
    few = [f"{c} ({len(files)})" for (_, c), files in by_class.items() if len(files) < 3]
    if few:
        raise DataError(f"a class must have at least 3 images, one for each split; too few: {', '.join(few)}")
    parts: dict[str, list[Found]] = {split: [] for split in SPLITS}
    for (_, name), files in by_class.items():
        order = _draw(name, len(files), seed)
        held_out = max(1, round(HELD_OUT * len(files)))
        for split, chosen in zip(
            SPLITS, (order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]), strict=True
        ):
            parts[split] += [files[i] for i in sorted(chosen)]
    return parts


def hold_out(class_names: Sequence[str], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """bool [N]: which of N images validate, a seeded share of each class; all others train.

    Of each class at least one image validates and at least one trains. A class is divided the same way whatever
    other classes there are.

    Args:
        class_names: [N], the class of each image.
        share: between 0 and 1.

    Raises:
        InputError: where the share is not between 0 and 1.
        DataError: naming the classes that have one image only.
    """
    if not 0 < share < 1:
        raise InputError(f"the share of validation must lie between 0 and 1, got {share}")
    members: dict[str, list[int]] = {}
    for i, name in enumerate(class_names):
        members.setdefault(name, []).append(i)
    if few := [name for name, places in members.items() if len(places) < 2]:
        raise DataError(f"a class must have at least 2 images, to train and to validate; too few: {listed(few)}")
    held_out = np.zeros(len(class_names), np.bool_)
    for name, places in members.items():
        count = min(max(1, round(share * len(places))), len(places) - 1)
        held_out[np.asarray(places)[_draw(name, len(places), seed)[:count]]] = True
    return held_out


def validated(training: Sequence[Found], share: float, seed: int) -> dict[str, list[Found]]:
    """{"train": ..., "validation": ...} of the training images; see `hold_out`."""
    held_out = hold_out([f.class_name for f in training], share, seed)
    return {
        "train": [f for f, held in zip(training, held_out, strict=True) if not held],
        "validation": [f for f, held in zip(training, held_out, strict=True) if held],
    }


def _draw(class_name: str, count: int, seed: int) -> npt.NDArray[np.int64]:
    """A permutation of `count` images that depends on (seed, class name) alone."""
    return np.random.default_rng([seed, zlib.crc32(class_name.encode(errors="surrogatepass"))]).permutation(count)
