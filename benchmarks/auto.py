"""The task "auto" end to end: router and specialised network against one network over all classes, at equal cost.

    python -m benchmarks.auto

At three levels, the router and the specialised networks within a total budget, and the generated network over all
classes within the same budget, on the unseen artist's drawings of all classes:

- one_view: each image by itself; five_views: the views of a drawing together (a scene for the router; for the network
  over all classes, and within the superclass, log probabilities are averaged).
- auto: a rejected image is a wrong one. auto_without_rejection: the most probable superclass, whatever the threshold.
- superclass_known: the specialised network of the true superclass, which costs the router nothing to find.

Intervals: 95%, bootstrap over drawings, paired.
"""

from __future__ import annotations

import argparse
import dataclasses
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
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
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
            for way in ("auto", "auto_without_rejection"):
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
    """The same for the router and the networks behind it, and for these alone."""
    router = model.router.router
    probabilities = model.router.log_probabilities(flat(data)).reshape(len(data.targets), VIEWS, -1)
    within = np.stack([answers(runtime, model, name, data) for name in runtime.tasks], 2)
    every = np.arange(len(data.targets))
    hits: dict[str, tuple[Floats, Floats]] = {}
    for way, threshold in (("auto", router.threshold), ("auto_without_rejection", 0.0)):
        routing = dataclasses.replace(router, threshold=threshold)
        one = np.zeros((len(every), VIEWS))
        five = np.zeros(len(every))
        for i in every:
            for v in range(VIEWS):
                route = routing.route(np.exp(probabilities[i, v, : len(runtime.tasks)]))
                if route.superclass is not None:
                    one[i, v] = within[i, v, runtime.tasks.index(route.superclass)] == data.targets[i]
            together = log_softmax(probabilities[i].mean(0, keepdims=True))[0]
            route = routing.route(np.exp(together[: len(runtime.tasks)]))
            if route.superclass is not None:
                five[i] = within[i, VIEWS, runtime.tasks.index(route.superclass)] == data.targets[i]
        hits[way] = one.mean(1), five
    known = within[every[:, None], np.arange(VIEWS)[None], data.superclass[:, None]] == data.targets[:, None]
    of_all = within[every, VIEWS, data.superclass] == data.targets
    hits["superclass_known"] = known.mean(1), of_all.astype(float)
    return hits


def answers(runtime: Runtime, model: RoutedModel, superclass: str, data: Drawings) -> npt.NDArray[np.int64]:
    """[drawings, views + 1]: the class that the network of a superclass names, by each view and by all together."""
    network = model.network(superclass)
    found = log_softmax(network.logits(flat(data)).astype(np.float64)).reshape(len(data.targets), VIEWS, -1)
    picked = np.concatenate([found.argmax(2), found.mean(1).argmax(1)[:, None]], 1)
    classes: npt.NDArray[np.int64] = np.array(network.task.classes)[picked]
    return classes


def flat(data: Drawings) -> npt.NDArray[np.uint8]:
    return data.images.reshape(-1, *data.images.shape[2:])


def percent(values: tuple[float, ...]) -> list[float]:
    return [round(100 * float(value), 2) for value in values]


if __name__ == "__main__":
    main()
