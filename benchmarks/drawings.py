"""The unseen artist's drawings, as fixed views, for benchmarks of accuracy (needs `eas data` once)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.model import Model
from eas_sdk.runtime import Runtime
from eas_train.data.emoji import load_emoji
from eas_train.data.imageset import superclass_of_class
from eas_train.data.views import views


@dataclass(frozen=True, eq=False)
class Drawings:
    """Fixed views of one artist's drawings.

    Attributes:
        images: uint8 [N, V, S, S, 3]; targets: [N] class indices; superclass: [N] of each drawing.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]
    superclass: npt.NDArray[np.int64]


def drawings(runtime: Runtime, split: str, count: int) -> Drawings:
    """`count` views of every drawing of "validation" or "test", at the bundle's input size."""
    data = getattr(load_emoji(), split)
    if data.classes != runtime.bundle.labels:
        raise SystemExit("the bundle was trained on other classes than the emoji cache holds")
    images = views(data.images, count, runtime.bundle.space.input_sizes[-1], seed=0)
    return Drawings(images, data.targets, superclass_of_class(data.superclasses)[data.targets])


def accuracy_by_drawing(model: Model, data: Drawings) -> npt.NDArray[np.float64]:
    """Share of its views that the model gets right, for each drawing of the model's task, in order."""
    mine = data.superclass == model.task.shares[0][0]
    images = data.images[mine]
    logits = model.logits(images.reshape(-1, *images.shape[2:]))
    right = logits.argmax(1) == np.repeat(data.targets[mine] - model.task.classes[0], images.shape[1])
    shares: npt.NDArray[np.float64] = right.reshape(len(images), -1).mean(1)
    return shares
