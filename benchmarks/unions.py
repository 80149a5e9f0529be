"""Unions and lists of classes: what the generator makes of tasks that it was not trained for.

    python -m benchmarks.unions
    python -m benchmarks.unions --tasks 20 --split validation      # ways of conditioning, compared on validation

Random unions of 2 to 4 superclasses and random lists of 5 to 40 classes, at three budgets. For each, on the unseen
artist's drawings of the task's classes:

- the generated network, by each way of conditioning the generator on several superclasses:
  weighted (what the runtime does): the mean of the superclasses' embeddings, weighted by their numbers of classes;
  equal: the same without weights; probabilities: the weighted mean of the gates' probabilities;
  dominant: the superclass with the most classes alone;
- the best of 50 random networks of equal multiply-adds, chosen for the task on the validation artist's drawings;
- the network for all classes, with the outputs of other classes masked, at equal multiply-adds.

A network's answer within a task is the greatest of the task's logits, so that one evaluation of a network over all
classes serves every task. Intervals: bootstrap over drawings.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.accuracy import random_architectures
from benchmarks.drawings import drawings
from benchmarks.record import record
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import MissingDependency
from eas_sdk.runtime import Runtime
from eas_sdk.selector.generator import GeneratorSelector
from eas_sdk.selector.lstm import FloatArray
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import IntArray
from eas_sdk.task import Task, resolve
from eas_train.progress import progress

FRACTIONS = (0.25, 0.5, 0.75)
"""Budgets, as parts of the way from the smallest to the largest network."""

Shares = npt.NDArray[np.float64]
"""[drawings]: share of a drawing's views that are right; NaN where its class is not in the task."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100, help="unions, and as many lists")
    parser.add_argument("--random", type=int, default=50, help="random networks for each budget")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    runtime = eas_sdk.load("emoji")
    rng = random.Random(0)
    tasks = {"unions": unions(runtime, options.tasks, rng), "lists": lists(runtime, options.tasks, rng)}
    measured = Measured(runtime, options.split, options.views)
    figures: dict[str, Any] = {"split": options.split, "views": options.views, "random_networks": options.random}
    for kind, drawn in tasks.items():
        figures[kind] = compare(measured, drawn, options.random)
    record("unions" if options.split == "test" else f"unions-{options.split}", figures)


class Measured:
    """What networks answer on all drawings, computed once a network."""

    def __init__(self, runtime: Runtime, split: str, views: int) -> None:
        self.runtime, self.split = runtime, split
        self.data = {name: drawings(runtime, name, views) for name in ("validation", split)}
        self.everything = resolve("all", runtime.bundle.superclasses)
        self.logits: dict[tuple[str, Architecture], npt.NDArray[np.float32]] = {}
        try:
            self.engine = load_engine("litert").name
        except MissingDependency:
            self.engine = "numpy"

    def answers(self, architecture: Architecture, split: str) -> npt.NDArray[np.float32]:
        """[drawings, views, classes]."""
        if (split, architecture) not in self.logits:
            images = self.data[split].images
            model = self.runtime.build(self.everything, architecture, engine=self.engine)
            made = model.logits(images.reshape(-1, *images.shape[2:]))
            self.logits[split, architecture] = made.reshape(*images.shape[:2], -1).astype(np.float16)
        return self.logits[split, architecture]

    def shares(self, architecture: Architecture, task: Task, split: str) -> Shares:
        """How well a network does within a task."""
        targets, classes = self.data[split].targets, np.array(task.classes)
        answers = classes[self.answers(architecture, split)[:, :, classes].argmax(2)]
        right = (answers == targets[:, None]).mean(1)
        found: Shares = np.where(np.isin(targets, classes), right, np.nan)
        return found


class OnProbabilities(GeneratorSelector):
    """Mixes the gates' probabilities instead of the embeddings."""

    def probabilities(self, mixtures: FloatArray, madds: IntArray) -> FloatArray:
        total = np.zeros(0)
        for t in range(mixtures.shape[1]):
            alone = np.zeros_like(mixtures)
            alone[:, t] = 1
            total = (
                total + mixtures[:, t : t + 1] * super().probabilities(alone, madds)
                if t
                else (mixtures[:, :1] * super().probabilities(alone, madds))
            )
        return total


def generated(runtime: Runtime, task: Task, madds: int) -> dict[str, Architecture]:
    """The selected network by each way of conditioning."""
    selector = runtime.selector
    assert isinstance(selector, GeneratorSelector)
    mixed = OnProbabilities(selector.space, selector.budgets, selector.weights, selector.samples, selector.cost)
    most = max(task.shares, key=lambda share: share[1])
    requests = {
        "weighted": (selector, task.shares),
        "equal": (selector, tuple((t, 1) for t, _ in task.shares)),
        "dominant": (selector, (most,)),
        "probabilities": (mixed, task.shares),
    }
    return {way: by.select([Request(shares, len(task.classes), madds)])[0] for way, (by, shares) in requests.items()}


def unions(runtime: Runtime, count: int, rng: random.Random) -> list[Task]:
    """Unions of 2 to 4 superclasses."""
    superclasses = runtime.bundle.superclasses
    return [resolve(rng.sample(runtime.tasks, rng.randint(2, 4)), superclasses) for _ in range(count)]


def lists(runtime: Runtime, count: int, rng: random.Random) -> list[Task]:
    """Lists of 5 to 40 classes, of any superclasses."""
    superclasses = runtime.bundle.superclasses
    labels = runtime.bundle.labels
    return [resolve(rng.sample(labels, rng.randint(5, 40)), superclasses) for _ in range(count)]


def compare(measured: Measured, tasks: Sequence[Task], count: int) -> dict[str, Any]:
    """The table of one kind of task: a row for each budget."""
    runtime, split = measured.runtime, measured.split
    rng = np.random.default_rng(0)
    rows = []
    for fraction in FRACTIONS:
        shares: dict[str, list[Shares]] = {}
        madds = []
        with progress(f"{fraction:.0%} of the range", len(tasks)) as update:
            pool: dict[int, list[Architecture]] = {}
            for done, task in enumerate(tasks, 1):
                low, high = runtime.budget_range(task)
                budget = low + round(fraction * (high - low))
                # Tasks differ by their classifiers alone: those of nearly equal budgets share random networks.
                level = round(np.log(budget) / 0.02)
                if level not in pool:
                    pool[level] = random_architectures(runtime, len(task.classes), budget, count, rng)
                found = generated(runtime, task, budget)
                (masked,) = runtime.architectures([("all", max(budget, runtime.budget_range("all")[0]))])
                chosen = max(pool[level], key=lambda a: np.nanmean(measured.shares(a, task, "validation")))
                for way, architecture in {**found, "best of random": chosen, "all classes": masked}.items():
                    shares.setdefault(way, []).append(measured.shares(architecture, task, split))
                madds.append(budget)
                update(done, task.name[:30])
        stacked = {way: np.stack(values) for way, values in shares.items()}
        ours = stacked["weighted"]
        rows.append(
            {
                "budget_fraction": fraction,
                "mean_budget_madds": round(float(np.mean(madds))),
                "top1": {way: round(interval(values)[0], 4) for way, values in stacked.items()},
                "weighted_minus": {
                    way: [round(100 * v, 2) for v in interval(ours - values)]
                    for way, values in stacked.items()
                    if way != "weighted"
                },
            }
        )
    sizes = [len(task.classes) for task in tasks]
    return {"tasks": len(tasks), "classes": [min(sizes), max(sizes)], "rows": rows}


def interval(values: npt.NDArray[np.float64], draws: int = 2000) -> tuple[float, float, float]:
    """Mean over tasks of the mean over their drawings, [tasks, drawings], with its 95% bootstrap interval."""
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(values.shape[1], np.full(values.shape[1], 1 / values.shape[1]), size=draws).T
    with np.errstate(invalid="ignore"):
        means = np.nanmean((filled @ weights) / (there @ weights), 0)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.mean(filled.sum(1) / there.sum(1))), float(low), float(high)


if __name__ == "__main__":
    main()
