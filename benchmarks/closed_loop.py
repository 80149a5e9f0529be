"""The closed loop of an adaptive session: a bound on latency, while other processes take all cores and stop again."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from eas_sdk.adaptive.session import Session
from eas_sdk.device.policy import Policy
from eas_sdk.device.state import DeviceState
from eas_sdk.runtime import Runtime

ROOM = 1.5
"""The bound, over what the largest network takes while nothing else runs: loads double that time and more, and the
smallest network takes half of it."""

GIVE_UP_S = 60.0
STEADY = 50
"""Predictions before the load, and under it once the bound is met."""


def closed_loop(runtime: Runtime, task: str) -> dict[str, Any]:
    """One thread predicts; the policy allows everything, so that the latency alone decides.

    Args:
        runtime: has a latency table of this machine.
    """
    side = runtime.bundle.space.input_sizes[-1]
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    with Session(runtime, task, policy=Policy((), "100%"), read_state=DeviceState) as session:
        recent: deque[float] = deque(maxlen=5)

        def until(reached: Callable[[], bool]) -> dict[str, Any]:
            began = time.perf_counter()
            predictions = 0
            while not reached() and time.perf_counter() - began < GIVE_UP_S:
                recent.append(session.answer(image).elapsed_ms)
                predictions += 1
            return {
                "predictions": predictions,
                "seconds": round(time.perf_counter() - began, 2),
                "reached": reached(),
                "madds": session.model.madds,
            }

        def steady() -> list[float]:
            return [session.answer(image).elapsed_ms for _ in range(STEADY)]

        bound_ms = ROOM * statistics.median(steady())
        session.target = f"{bound_ms}ms"
        alone = steady()
        before = session.model.madds
        recent.clear()
        with load():
            exceeded = until(lambda: len(recent) == 5 and statistics.median(recent) > bound_ms)
            met = until(lambda: statistics.median(recent) <= bound_ms)
            under_load = steady()
            scale = session.feedback.scale
        recovered = until(lambda: session.model.madds >= 0.98 * before)
        return {
            "bound_ms": round(bound_ms, 2),
            "madds": before,
            "alone_ms": round(statistics.median(alone), 2),
            "exceeded": exceeded,
            "within_again": met,
            "under_load_ms": round(statistics.median(under_load), 2),
            "under_load_scale": round(scale, 3),
            "recovered": recovered,
            "switches": session.counters.switches,
        }


@contextmanager
def load() -> Iterator[None]:
    """A process for each core that does nothing else."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait()
