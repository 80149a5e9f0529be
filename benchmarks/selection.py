"""The selector: its speed on 50 requests and on one, beside the forward pass of its network alone, and its guarantee
over 10,000; of the embedded bundle, and of an untrained generator of the usual size over `lite0`, which chooses the
input size too.

python -m benchmarks.selection
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.networks import untrained_generator
from benchmarks.record import record
from eas_sdk.runtime import Runtime
from eas_sdk.selector.generator import GeneratorSelector
from eas_sdk.space.tables import madds_table


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runtimes = {"embedded": eas_sdk.load(), "lite0": untrained_generator(Path(folder), "lite0")}
        record("selection", {name: measure(runtime) for name, runtime in runtimes.items()})


def measure(runtime: Runtime) -> dict[str, Any]:
    """Figures of one bundle's selector."""
    rng = np.random.default_rng(0)
    ranges = {task: runtime.budget_range(task) for task in runtime.tasks}

    def draw(count: int) -> list[tuple[str, int]]:
        tasks = rng.choice(runtime.tasks, count).tolist()
        return [(task, int(rng.integers(ranges[task][0], int(1.2 * ranges[task][1])))) for task in tasks]

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
        "fifty_requests_ms": times(runtime, [draw(50)] * 100),
        "one_request_ms": times(runtime, [draw(1) for _ in range(200)]),
        "random_requests": 10_000,
        "over_budget": exceeded,
        "slowest_hundred_ms": round(slowest_ms, 2),
        "share_of_budget_used": {
            "mean": round(float(np.mean(used)), 4),
            "p5": round(float(np.percentile(used, 5)), 4),
        },
    }


def times(runtime: Runtime, batches: list[list[tuple[str, int]]]) -> dict[str, float]:
    """Milliseconds of batches of requests, and of the forward pass that is a part of each, in turns.

    The forward pass is the whole network: embeddings, LSTM, heads.
    """
    selector = runtime.selector
    assert isinstance(selector, GeneratorSelector)
    whole, forward = [], []
    for batch in batches:
        mixtures = np.zeros((len(batch), len(runtime.tasks)))
        mixtures[np.arange(len(batch)), [runtime.tasks.index(task) for task, _ in batch]] = 1
        budgets = np.array([budget for _, budget in batch])
        whole.append(taken_ms(partial(runtime.architectures, batch)))
        forward.append(taken_ms(partial(selector.probabilities, mixtures, budgets)))
    median, alone = np.median(whole), np.median(forward)
    figures = {"median": median, "max": max(whole), "forward_pass": alone, "times_the_forward_pass": median / alone}
    return {name: round(float(value), 2) for name, value in figures.items()}


def taken_ms(act: Callable[[], object]) -> float:
    """How long the second of two calls takes."""
    act()
    start = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
