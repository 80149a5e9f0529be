"""The router on the unseen artist: superclass from one image and from five views, and what it makes of other things.

    python -m benchmarks.router

- known: drawings of the bank's classes. Their superclass by one view, and by five views of a drawing together.
- other_classes: drawings of classes that the bank does not know, of its superclasses.
- none: drawings of what belongs to no superclass. `auc` is the area under the rejection curve: the probability that a
  known drawing's superclass is more probable to the router than that of a drawing of none.
- all_classes: for comparison, the bank's smallest and largest network over all classes, whose probabilities are summed
  by superclass.

Intervals: 95%, bootstrap over drawings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import drawings
from benchmarks.record import record
from eas_sdk.router.network import log_softmax
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_train.data.emoji import OTHERS, load_emoji
from eas_train.data.imageset import ImageSet, superclass_of_class
from eas_train.data.labels import NONE
from eas_train.data.views import views

Floats = npt.NDArray[np.float64]
LogProbabilities = Callable[[npt.NDArray[np.uint8]], Floats]

VIEWS = 5
MIDDLE = 0.5
"""The budget that the router's multiply-adds are compared with, as a part of the way from the smallest to the largest
network of a superclass."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="emoji", help="a bundle of the same classes")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    router, space = runtime.checked_router(), runtime.bundle.space
    ends = [runtime.budget_range(task) for task in runtime.tasks]
    middle = float(np.mean([low + MIDDLE * (high - low) for low, high in ends]))
    figures: dict[str, Any] = {
        "split": options.split,
        "router": {
            "madds": router.cost.madds,
            "of_the_middle_budget": round(router.cost.madds / middle, 3),
            "parameters": router.cost.parameters,
            "threshold": round(router.threshold, 3),
            **measured(runtime, router.compile().log_probabilities, options.split, router.threshold),
        },
        "all_classes": {
            name: {
                "madds": runtime.build("all", end).madds,
                **measured(runtime, summed(runtime, end), options.split, None),
            }
            for name, end in (("smallest", space.smallest), ("largest", space.largest))
        },
    }
    record("router" if options.split == "test" else f"router-{options.split}", figures)


def summed(runtime: Runtime, architecture: Architecture) -> LogProbabilities:
    """A network over all classes as a router."""
    model = runtime.build("all", architecture)
    sizes = [len(superclass.labels) for superclass in runtime.bundle.superclasses]
    starts = np.cumsum([0, *sizes[:-1]])

    def run(images: npt.NDArray[np.uint8]) -> Floats:
        return np.logaddexp.reduceat(log_softmax(model.logits(images).astype(np.float64)), starts, axis=1)

    return run


def measured(runtime: Runtime, route: LogProbabilities, split: str, threshold: float | None) -> dict[str, Any]:
    """Figures of one router on one split."""
    data, size = drawings(runtime, split, VIEWS), runtime.bundle.space.input_sizes[-1]
    count = len(runtime.tasks)
    known = route(data.images.reshape(-1, size, size, 3)).reshape(len(data.targets), VIEWS, -1)
    together = known.mean(1)[:, :count]
    right = known[:, :, :count].argmax(2) == data.superclass[:, None]
    others = getattr(load_emoji(kind=OTHERS), split)
    owner = superclass_of_class(others.superclasses)[others.targets]
    names = [s.name for s in others.superclasses]
    strange = route(one_view(others, size))
    none = owner == names.index(NONE)
    sure = np.exp(known[:, :, :count]).max(2)
    unsure = np.exp(strange[none][:, :count]).max(1)
    figures: dict[str, Any] = {
        "known": {
            "drawings": len(data.targets),
            "one_view_top1": rounded(interval(right.mean(1))),
            "five_views_top1": rounded(interval((together.argmax(1) == data.superclass).astype(float))),
            "one_view_top1_by_superclass": {
                name: round(float(right[data.superclass == t].mean()), 3) for t, name in enumerate(runtime.tasks)
            },
        },
        "other_classes": {
            "drawings": int((~none).sum()),
            "one_view_top1": rounded(interval((strange[~none][:, :count].argmax(1) == owner[~none]).astype(float))),
        },
        "none": {"drawings": int(none.sum()), "auc": round(float((sure[:, :1] > unsure[None]).mean()), 4)},
    }
    if threshold is not None:
        figures["known"]["accepted"] = rounded(interval((sure >= threshold).mean(1)))
        figures["none"]["rejected"] = rounded(interval((unsure < threshold).astype(float)))
    return figures


def one_view(images: ImageSet, size: int) -> npt.NDArray[np.uint8]:
    """One fixed view of each drawing."""
    return views(images.images, 1, size, seed=0)[:, 0]


def rounded(values: tuple[float, ...]) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    main()
