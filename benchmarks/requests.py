"""The selector: its speed on 50 requests, and its guarantee over 10,000; of the embedded bundle, and of an untrained
generator of the usual size over `lite0`, which chooses the input size too.

python -m benchmarks.requests
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.networks import untrained_generator
from benchmarks.record import record
from eas_sdk.runtime import Runtime
from eas_sdk.space.tables import madds_table


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runtimes = {"embedded": eas_sdk.load(), "lite0": untrained_generator(Path(folder), "lite0")}
        record("requests", {name: measure(runtime) for name, runtime in runtimes.items()})


def measure(runtime: Runtime) -> dict[str, Any]:
    """Figures of one bundle's selector."""
    rng = np.random.default_rng(0)
    ranges = {task: runtime.budget_range(task) for task in runtime.tasks}

    def draw(count: int) -> list[tuple[str, int]]:
        tasks = rng.choice(runtime.tasks, count).tolist()
        return [(task, int(rng.integers(ranges[task][0], int(1.2 * ranges[task][1])))) for task in tasks]

    fifty = draw(50)
    runtime.architectures(fifty)
    times_ms = []
    for _ in range(50):
        start = time.perf_counter()
        runtime.architectures(fifty)
        times_ms.append((time.perf_counter() - start) * 1e3)
    single_ms = []
    for request in draw(200):
        start = time.perf_counter()
        runtime.architectures([request])
        single_ms.append((time.perf_counter() - start) * 1e3)
    exceeded, slowest_ms, used = 0, 0.0, []
    for seed in range(100):
        requests = draw(100)
        start = time.perf_counter()
        picked = runtime.architectures(requests, seed=seed)
        slowest_ms = max(slowest_ms, (time.perf_counter() - start) * 1e3)
        space = runtime.bundle.space
        classes = np.array([len(runtime.labels(task)) for task, _ in requests])
        madds = madds_table(space).total(space, space.encode(picked), classes)
        budgets = np.array([budget for _, budget in requests])
        exceeded += int((madds > budgets).sum())
        used += (madds / np.minimum(budgets, [ranges[task][1] for task, _ in requests])).tolist()
    return {
        "fifty_requests_ms": {"median": round(float(np.median(times_ms)), 2), "max": round(max(times_ms), 2)},
        "one_request_ms": {"median": round(float(np.median(single_ms)), 2), "max": round(max(single_ms), 2)},
        "random_requests": 10_000,
        "over_budget": exceeded,
        "slowest_hundred_ms": round(slowest_ms, 2),
        "share_of_budget_used": {
            "mean": round(float(np.mean(used)), 4),
            "p5": round(float(np.percentile(used, 5)), 4),
        },
    }


if __name__ == "__main__":
    main()
