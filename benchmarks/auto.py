"""The task "auto" end to end: router and specialised network against one network over all classes, at equal cost.

    python -m benchmarks.auto

At three levels, the router and the specialised networks within a total budget, and the generated network over all
classes within the same budget, on the unseen artist's drawings of all classes:

- one_view: each image by itself; five_views: the views of a drawing together (a scene for the router; for the network
  over all classes, and within the superclass, log probabilities are averaged).
- auto: router and network together, as the runtime has it; a rejected image is a wrong one. auto_without_rejection:
  whatever the threshold.
- router_alone_decides: the network chooses among the labels of the superclass that the router picks.
- superclass_known: the same for the true superclass, which costs the router nothing to find.

Intervals: 95%, bootstrap over drawings, paired.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import Drawings, drawings
from benchmarks.record import record
from eas_sdk.model import Model
from eas_sdk.router.model import RoutedModel
from eas_sdk.router.network import log_softmax
from eas_sdk.runtime import Runtime

LEVELS = (0.1, 0.5, 0.9)
"""Total budgets, as parts of the way from the smallest to the largest of router and network."""

VIEWS = 5
Floats = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="emoji", help="a bundle of the same classes")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    data = drawings(runtime, options.split, VIEWS)
    low, high = runtime.budget_range("auto")
    rows = []
    for level in LEVELS:
        budget = round(low + level * (high - low))
        routed = runtime.specialize("auto", budget)
        alone = runtime.specialize("all", budget)
        found = {**routed_hits(runtime, routed, data), "all_classes": all_hits(alone, data)}
        row: dict[str, Any] = {
            "budget_fraction": level,
            "budget_madds": budget,
            "auto_madds_at_most": routed.madds,
            "all_classes_madds": alone.madds,
        }
        for i, name in enumerate(("one_view", "five_views")):
            row[name] = {way: percent(interval(hits[i])) for way, hits in found.items()}
            for way in ("auto", "auto_without_rejection", "router_alone_decides"):
                row[name][f"{way}_minus_all_classes"] = percent(interval(found[way][i] - found["all_classes"][i]))
        rows.append(row)
    figures = {"split": options.split, "drawings": len(data.targets), "rows": rows}
    record("auto" if options.split == "test" else f"auto-{options.split}", figures)


def all_hits(model: Model, data: Drawings) -> tuple[Floats, Floats]:
    """Share of right answers for each drawing, by one view and by all."""
    found = log_softmax(model.logits(flat(data)).astype(np.float64)).reshape(len(data.targets), VIEWS, -1)
    one = (found.argmax(2) == data.targets[:, None]).mean(1)
    return one, (found.mean(1).argmax(1) == data.targets).astype(float)


def routed_hits(runtime: Runtime, model: RoutedModel, data: Drawings) -> dict[str, tuple[Floats, Floats]]:
    """The same for the router and the networks behind it, together and alone."""
    router, names = model.router.router, runtime.tasks
    count = len(names)
    of_class = np.repeat(np.arange(count), [len(superclass.labels) for superclass in runtime.bundle.superclasses])
    routing = model.router.log_probabilities(flat(data)).reshape(len(data.targets), VIEWS, -1)
    together = log_softmax(routing.mean(1))[:, None, :]
    networks = [
        log_softmax(model.network(name).logits(flat(data)).astype(np.float64)).reshape(len(data.targets), VIEWS, -1)
        for name in names
    ]
    hits: dict[str, list[Floats]] = {}
    for prior, answers in ((routing, networks), (together, [found.mean(1, keepdims=True) for found in networks])):
        log_prior = prior[..., :count]
        picked = log_prior.argmax(2)
        known = np.exp(log_prior.max(2)) >= router.threshold
        found = np.choose(picked[..., None], answers)
        right = data.targets[:, None]
        joint = (found + log_prior[..., of_class]).argmax(2) == right
        alone = np.where(of_class == picked[..., None], found, -np.inf).argmax(2) == right
        own = np.stack(answers)[data.superclass, np.arange(len(data.targets))]
        told = np.where(of_class == data.superclass[:, None, None], own, -np.inf).argmax(2) == right
        for way, values in (
            ("auto", joint & known),
            ("auto_without_rejection", joint),
            ("router_alone_decides", alone),
            ("superclass_known", told),
        ):
            hits.setdefault(way, []).append(values.mean(1))
    return {way: (one, five) for way, (one, five) in hits.items()}


def flat(data: Drawings) -> npt.NDArray[np.uint8]:
    return data.images.reshape(-1, *data.images.shape[2:])


def percent(values: tuple[float, ...]) -> list[float]:
    return [round(100 * float(value), 2) for value in values]


if __name__ == "__main__":
    main()
