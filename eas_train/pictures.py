"""The images that a bundle carries: some to calibrate integer exports on, others to prove exports on.

Those that calibrate are training images as training shows them. Those that prove were not trained on: of an image that
a network has learned by heart it is surer than of any that an app will show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.images import as_float_batch
from eas_train.data.feed import AnyAugmentation, Asked, augmented
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images

TOGETHER = 16
"""Photos that a network is asked about at once."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Images and what they show.

    Attributes:
        images: uint8 [N, S, S, 3].
        classes: [N] of the bundle.
    """

    images: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]


def to_calibrate(train: Images, each: int, side: int, augmentation: AnyAugmentation) -> Shown:
    """Augmented training images, `each` of every superclass, or as many as there are."""
    index = _picked(train, each)
    if not len(index):
        return Shown(np.empty((0, side, side, 3), np.uint8), train.targets[index])
    made = augmented(train, Asked(index, 0, side), augmentation, torch.device("cpu")).images
    images: npt.NDArray[np.uint8] = made.permute(0, 2, 3, 1).mul(255).round().byte().numpy()
    return Shown(np.ascontiguousarray(images), train.targets[index])


def to_prove(validation: Images, each: int, side: int) -> Shown:
    """Validation images as they are, `each` of every superclass, or as many as there are."""
    return _as_they_are(validation.take(_picked(validation, each)), side)


def divided(photos: Images, side: int, bundle: Bundle) -> tuple[Shown, Shown]:
    """Photos of which nobody has said what they show: every other one calibrates, the rest prove.

    Args:
        bundle: whose largest network says what each one shows.
    """
    images = _as_they_are(photos, side).images
    program = NumpyEngine().compile(cut(bundle, bundle.space.largest, range(len(bundle.labels))))
    parts = (images[start : start + TOGETHER] for start in range(0, len(images), TOGETHER))
    answers = np.concatenate([program.run(as_float_batch(part, bundle.input_size)).argmax(1) for part in parts])
    return Shown(images[::2], answers[::2]), Shown(images[1::2], answers[1::2])


def _picked(data: Images, each: int) -> npt.NDArray[np.int64]:
    """`each` images of every superclass, at random, superclass by superclass."""
    owner = superclass_of_class(data.superclasses)[data.targets]
    rng = np.random.default_rng(0)
    picked = [rng.permutation(np.flatnonzero(owner == t))[:each] for t in range(len(data.superclasses))]
    return np.concatenate(picked)


def _as_they_are(data: Images, side: int) -> Shown:
    images, _ = fixed_views(data, 1, side, torch.device("cpu"))
    return Shown(np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()), data.targets)
