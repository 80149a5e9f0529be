"""How good a bundle's networks are on test images, image by image: the smallest budget, the middle, and the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eas_sdk.bank.bundle import Bundle
from eas_sdk.budget import Budget
from eas_sdk.runtime import Runtime
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.protocol import size_of
from eas_sdk.space.tables import madds_table
from eas_sdk.task import ALL
from eas_train.bundle import to_supernet
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import Superclass, superclass_of_class
from eas_train.data.splits import Images
from eas_train.supernet.evaluate import logits_of

LEVELS = {"smallest": 0.0, "middle": 0.5, "largest": 1.0}
"""Name -> part of the budget range."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One network for all classes, on the test images.

    Attributes:
        name: of `LEVELS`.
        madds, input_px: its cost and the side of its images.
        targets: int64 [N]; probabilities: [N, classes].
        superclasses: with their classes, in the order of the targets.
    """

    name: str
    madds: int
    input_px: int
    targets: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    superclasses: tuple[Superclass, ...]

    @property
    def said(self) -> npt.NDArray[np.int64]:
        """The most probable class of each image, int64 [N]."""
        return np.asarray(self.probabilities.argmax(1))

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """[N], among all classes."""
        return np.asarray(self.said == self.targets)

    @property
    def within(self) -> npt.NDArray[np.bool_]:
        """[N], among those of the image's own superclass."""
        owner = superclass_of_class(self.superclasses)
        known = np.where(owner[None] == owner[self.targets][:, None], self.probabilities, -1.0)
        return np.asarray(known.argmax(1) == self.targets)

    def by_class(self) -> npt.NDArray[np.float64]:
        """The share of each class's images that are right; NaN where there are none."""
        counts = np.bincount(self.targets, minlength=self.probabilities.shape[1])
        hits = np.bincount(self.targets, self.right, minlength=len(counts))
        shares: npt.NDArray[np.float64] = np.full(len(counts), np.nan)
        return np.divide(hits, counts, out=shares, where=counts > 0)

    def confusion(self) -> npt.NDArray[np.int64]:
        """Images [classes, classes] by what they show and what is said."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.targets * classes + self.said, minlength=classes**2).reshape(classes, classes)

    def worst(self, most: int) -> npt.NDArray[np.int64]:
        """The images that are wrong, surest first, at most so many."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.probabilities[wrong].max(1), kind="stable")[:most]]

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "madds": self.madds,
            "input_px": self.input_px,
            "top1": round(float(self.right.mean()), 4),
            "top1_within_superclass": round(float(self.within.mean()), 4),
        }


@torch.no_grad()
def judge(bundle: Bundle, test: Images, device: torch.device) -> list[Judged]:
    """The networks that the bundle's selector gives for all classes, in torch, with its own statistics."""
    runtime = Runtime(bundle, load_selector(bundle))
    architectures = runtime.architectures([(ALL, Budget(level=level)) for level in LEVELS.values()])
    madds = madds_table(bundle.space).total(
        bundle.space, bundle.space.encode(architectures), np.full(len(architectures), len(bundle.labels))
    )
    net, statistics = to_supernet(bundle, device)
    images, targets = fixed_views(test, 1, bundle.input_size, device)
    made = []
    for name, architecture, cost in zip(LEVELS, architectures, madds, strict=True):
        side = size_of(bundle.space, architecture)
        logits = logits_of(net, architecture, images, statistics.norm(architecture))
        if bundle.temperatures:
            logits /= bundle.temperatures[bundle.space.input_sizes.index(side)]
        probabilities = logits.softmax(1).cpu().numpy()
        made.append(Judged(name, int(cost), side, targets.cpu().numpy(), probabilities, test.superclasses))
    return made


def confused(judged: Judged, most: int) -> Sequence[tuple[str, str, int]]:
    """(shown, said, images) of the pairs of classes that are taken for one another most often."""
    table = judged.confusion()
    np.fill_diagonal(table, 0)
    names = [name for superclass in judged.superclasses for name in superclass.class_names]
    order = np.argsort(-table, axis=None, kind="stable")[:most]
    pairs = [divmod(int(flat), len(names)) for flat in order]
    return [(names[shown], names[said], int(table[shown, said])) for shown, said in pairs if table[shown, said]]
