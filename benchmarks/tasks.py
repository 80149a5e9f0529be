"""Random tasks of every kind: budgets, labels, rows, and the round trip through a file.

    python -m benchmarks.tasks
    python -m benchmarks.tasks --tasks 500 --exports 5

Superclasses, unions, lists of classes, all classes and "auto", each with a random budget in multiply-adds, memory, a
level, or several, from what the smallest network takes. Each network is built; it is within its budget, its labels are
the task's in their order, and its classifier's rows are those of the bank. Of each kind, some are exported to TFLite
and compared with the numpy engine on the drawings that the bundle carries.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.record import record
from eas_sdk.budget import Budget
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import InfeasibleBudget
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.model import Model
from eas_sdk.proof import Proof
from eas_sdk.router.model import RoutedModel
from eas_sdk.runtime import Runtime
from eas_train.progress import progress

KINDS = ("superclass", "union", "list", "all", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--exports", type=int, default=20, help="of each kind; families of files for auto: a tenth")
    options = parser.parse_args()
    runtime, rng = eas_sdk.load(), random.Random(0)
    counts = dict.fromkeys(("tasks", "infeasible", "over_budget", "wrong_labels", "wrong_rows"), 0)
    figures: dict[str, Any] = {kind: dict(counts) for kind in KINDS}
    with progress("tasks", options.tasks) as update:
        for done in range(options.tasks):
            kind = KINDS[done % len(KINDS)]
            row, task = figures[kind], draw(runtime, kind, rng)
            budget = limit(runtime, task, rng)
            row["tasks"] += 1
            try:
                model: Any = runtime.specialize(task, budget, seed=rng.randrange(100))
            except InfeasibleBudget as error:
                row["infeasible"] += 1
                model = runtime.specialize(task, error.nearest)
                budget = error.nearest
            for key, fault in faults(runtime, task, model, budget, rng).items():
                row[key] += fault
            update(done + 1, kind)
    with tempfile.TemporaryDirectory() as folder, progress("exports", len(KINDS) * options.exports) as update:
        for k, kind in enumerate(KINDS):
            proofs: list[Proof] = []
            count = max(1, options.exports // 10) if kind == "auto" else options.exports
            for i in range(count):
                task = draw(runtime, kind, rng)
                model = runtime.specialize(task, Budget(level=rng.random()))
                proofs += export(model, Path(folder))
                update(k * options.exports + i + 1, kind)
            figures[kind]["exports"] = {
                "files": len(proofs),
                "greatest_error": float(f"{max(proof.error for proof in proofs):.2g}"),
                "least_agreement": min(proof.agreement for proof in proofs),
            }
    record("tasks", figures)


def draw(runtime: Runtime, kind: str, rng: random.Random) -> str | Sequence[str]:
    """A random task of a kind."""
    match kind:
        case "superclass":
            return rng.choice(runtime.tasks)
        case "union":
            return rng.sample(runtime.tasks, rng.randint(2, len(runtime.tasks)))
        case "list":
            return rng.sample(runtime.bundle.labels, rng.randint(1, 60))
    return kind


def limit(runtime: Runtime, task: str | Sequence[str], rng: random.Random) -> Budget:
    """A random budget, which may be infeasible."""
    low, high = runtime.budget_range(task)
    terms = [
        Budget(madds=int(rng.uniform(0.9 * low, 1.1 * high))),
        Budget(memory_bytes=int(rng.uniform(2e6, 8e6))),
        Budget(level=rng.random()),
    ]
    first, *others = rng.sample(terms, rng.randint(1, 2))
    for other in others:
        first = first & other
    return first


def faults(
    runtime: Runtime, task: str | Sequence[str], model: Model | RoutedModel, budget: Budget, rng: random.Random
) -> dict[str, bool]:
    """What is wrong with a model."""
    over = budget.madds is not None and model.madds > budget.madds
    over |= budget.memory_bytes is not None and model.memory_bytes > budget.memory_bytes
    network = model
    if isinstance(model, RoutedModel):
        network, task = model.network(rng.choice(model.superclasses)), "all"
        router = model.router.router
        over |= router.cost.madds + network.madds > model.madds
        over |= memory_bytes(router.nodes) + network.memory_bytes > model.memory_bytes
    assert isinstance(network, Model)
    if budget.level is not None:
        low, high = runtime.budget_range(task)
        over |= network.madds > low + round(budget.level * (high - low))
    bank = runtime.bundle.weight("classifier")
    rows = [runtime.bundle.labels.index(label) for label in network.labels]
    return {
        "over_budget": over,
        "wrong_labels": network.labels != expected(runtime, task),
        "wrong_rows": not np.array_equal(network.graph.weights["classifier.weight"], bank[rows]),
    }


def expected(runtime: Runtime, task: str | Sequence[str]) -> tuple[str, ...]:
    """The labels of a task, written down once more."""
    groups = {superclass.name: superclass.labels for superclass in runtime.bundle.superclasses}
    if task == "all":
        return runtime.bundle.labels
    entries = [task] if isinstance(task, str) else task
    return tuple(label for entry in entries for label in groups.get(entry, (entry,)))


def export(model: Model | RoutedModel, folder: Path) -> list[Proof]:
    """Write a model and read it back; how the files compare with the numpy engine."""
    load_engine("litert")  # without it, nothing would be proved
    if isinstance(model, RoutedModel):
        family = model.export(folder / "family")
        made = [family.router, *family.networks.values()]
    else:
        made = [model.export(folder / "model.tflite")]
    return [file.proof for file in made if file.proof is not None]


if __name__ == "__main__":
    main()
