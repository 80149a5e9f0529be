"""Budgets in every unit: whether the answers keep them, how long they take, what infeasible ones say.

    python -m benchmarks.budgets
    python -m benchmarks.budgets --lite0 --requests 10000

Random requests for the embedded bundle, alone and joint ("8ms and 20MB"), with a latency table of this machine's LiteRT
(else numpy), measured first. An answer is compared with its budget by the table, the power table, the memory model and
the count of its nodes. Infeasible requests must name a budget that is feasible, and be infeasible without it.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.networks import untrained_generator
from benchmarks.record import record
from eas_sdk.budget import Budget
from eas_sdk.cli.lut import CLASSIFIERS, NETWORKS
from eas_sdk.errors import InfeasibleBudget, MissingDependency
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.latency.build import build, calibrate, space_segments
from eas_sdk.latency.check import random_networks
from eas_sdk.latency.local import LocalMeter
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_train.progress import progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--lite0", action="store_true", help="an untrained generator over the space lite0")
    options = parser.parse_args()
    try:
        engine, meter = "litert", LocalMeter("litert")
    except MissingDependency:
        engine, meter = "numpy", LocalMeter("numpy")
    with tempfile.TemporaryDirectory() as folder:
        runtime = untrained_generator(Path(folder), "lite0") if options.lite0 else eas_sdk.load()
        path = Path(folder) / "table.json"
        table = build(meter, space_segments(runtime.bundle.space, CLASSIFIERS), path)
        table = calibrate(meter, table, random_networks(runtime.bundle.space, NETWORKS, 20, seed=0), path)
        figures = {"engine": engine, **ask(replace(runtime, latency=table), engine, options.requests)}
    record("budgets_lite0" if options.lite0 else "budgets", figures)


def ask(runtime: Runtime, engine: str, count: int) -> dict[str, object]:
    """Figures of `count` random requests, one after the other."""
    rng = np.random.default_rng(0)
    extents = {task: extent(runtime, task, engine) for task in runtime.tasks}
    exceeded = infeasible = wrong = 0
    times_ms: dict[str, list[float]] = {}
    with progress("requests", count) as update:
        for done in range(1, count + 1):
            task = str(rng.choice(runtime.tasks))
            budget = draw(rng, extents[task])
            start = time.perf_counter()
            try:
                (architecture,) = runtime.architectures([(task, budget)], engine=engine)
                exceeded += not keeps(spent(runtime, task, architecture, engine), budget, extents[task][0])
            except InfeasibleBudget as error:
                infeasible += 1
                wrong += not is_nearest(runtime, task, budget, error.nearest, engine)
            kind = "joint" if len(budget.bounds) > 1 else next(iter(budget.bounds))
            times_ms.setdefault(kind, []).append(1e3 * (time.perf_counter() - start))
            if done % 500 == 0:
                update(done, "")
    return {
        "requests": count,
        "over_budget": exceeded,
        "infeasible": infeasible,
        "infeasible_with_a_wrong_nearest": wrong,
        "one_request_ms": {
            kind: {"median": round(statistics.median(ms), 2), "greatest": round(max(ms), 2), "count": len(ms)}
            for kind, ms in sorted(times_ms.items())
        },
    }


def spent(runtime: Runtime, task: str, architecture: Architecture, engine: str) -> dict[str, float]:
    """What a network costs, in every unit."""
    nodes = runtime.bundle.space.structure(architecture, len(runtime.labels(task)))
    assert runtime.latency is not None
    ms = runtime.latency.latency_ms(nodes)
    energy_mj = runtime.power.energy_mj(ms, runtime.latency.conditions.threads)
    found = {"madds": cost(nodes).madds, "latency_ms": ms, "energy_mj": energy_mj}
    return {**found, "memory_bytes": memory_bytes(nodes, engine)}


Extent = tuple[tuple[int, int], dict[str, float], dict[str, float]]
"""Range of multiply-adds; what the smallest and the largest network cost."""


def extent(runtime: Runtime, task: str, engine: str) -> Extent:
    space = runtime.bundle.space
    ends = [spent(runtime, task, end, engine) for end in (space.smallest, space.largest)]
    return runtime.budget_range(task), ends[0], ends[1]


def draw(rng: np.random.Generator, extent: Extent) -> Budget:
    """A bound in one to three units, from half of what the smallest network takes to more than the largest does."""
    (_, low, high), made = extent, None
    for name in rng.choice([*low, "level"], rng.choice([1, 1, 1, 2, 3]), replace=False):
        value: Any = float(rng.uniform(0, 1)) if name == "level" else rng.uniform(0.5 * low[name], 1.1 * high[name])
        value = int(value) if name in ("madds", "memory_bytes") else float(value)
        term = Budget(**{name: value})
        made = term if made is None else made & term
    assert made is not None
    return made


def keeps(costs: dict[str, float], budget: Budget, madds: tuple[int, int]) -> bool:
    """Whether a network keeps all bounds."""
    bounds = budget.bounds
    if "level" in bounds:
        bounds["madds"] = min(bounds.get("madds", madds[1]), madds[0] + round(bounds["level"] * (madds[1] - madds[0])))
    return all(costs[name] <= most for name, most in bounds.items() if name != "level")


def is_nearest(runtime: Runtime, task: str, budget: Budget, nearest: Budget, engine: str) -> bool:
    """Whether `nearest` is feasible, and what it raised had to be raised."""
    try:
        runtime.architectures([(task, nearest)], engine=engine)
    except InfeasibleBudget:
        return False
    smallest = spent(runtime, task, runtime.bundle.space.smallest, engine)
    raised = [name for name, most in budget.bounds.items() if nearest.bounds[name] != most]
    return bool(raised) and all(smallest[name] > budget.bounds[name] for name in raised)


if __name__ == "__main__":
    main()
