"""Measuring on this machine, with any engine."""

from __future__ import annotations

import functools
import gc
import os
import platform
import statistics
import time
from contextlib import suppress
from dataclasses import replace
from importlib import metadata

import numpy as np

from eas_sdk.device.processor import processor
from eas_sdk.engine.registry import ENGINES, load_engine
from eas_sdk.errors import InputError
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.meter import Conditions, Timing

DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "litert": ("ai-edge-litert", "tflite-runtime"),
    "onnxruntime": ("onnxruntime",),
    "coreml": ("coremltools",),
}
"""Engine -> what its speed depends on."""

DISPLACED_BYTES = 4 * 2**20
"""Written between two runs of a part of a network: what the rest of the network does to the caches."""

WARM_UP = 3
LEAST_RUNS, MOST_RUNS = 15, 60
TIME_S = 0.05
"""Runs go on for so long, within the bounds on their number."""


class LocalMeter:
    """Times networks with one engine in this process.

    Args:
        time_s: runs of one network go on for so long, within the bounds on their number.
        pause_ms: see `Conditions`.
        least_runs, warm_up: of one network; fewer are for a measurement in a hurry.

    Raises:
        InputError: no engine has that name, or it is "auto", which may be another one for every network.
        MissingDependency: see `load_engine`.
    """

    def __init__(
        self,
        engine: str = "numpy",
        threads: int = 1,
        time_s: float = TIME_S,
        pause_ms: float = 0.0,
        *,
        least_runs: int = LEAST_RUNS,
        warm_up: int = WARM_UP,
    ) -> None:
        if engine == "auto":
            raise InputError(
                f"latency is measured of one engine, {', '.join(n for n in ENGINES if n != engine)}; got 'auto'"
            )
        self._engine, self._time_s = load_engine(engine), time_s
        self._least_runs, self._warm_up = least_runs, warm_up
        self._conditions = replace(conditions(engine, threads), pause_ms=pause_ms)
        self._displaced = np.zeros(DISPLACED_BYTES, np.uint8)

    @property
    def conditions(self) -> Conditions:
        """See `Meter.conditions`."""
        return self._conditions

    def measure(self, graph: Graph, *, part: bool = False) -> Timing:
        """See `Meter.measure`."""
        taken = self.times_ms(graph, part=part)
        low, median, high = statistics.quantiles(taken, n=4)
        return Timing(median, (high - low) / 2, len(taken))

    def times_ms(self, graph: Graph, *, part: bool = False) -> list[float]:
        """The single runs behind `measure`."""
        program = self._engine.compile(graph, threads=self._conditions.threads)
        image = np.random.default_rng(0).random((1, *graph.input_shape), np.float32)
        for _ in range(self._warm_up):
            program.run(image)
        taken: list[float] = []
        collecting = gc.isenabled()
        gc.disable()
        try:
            began = time.perf_counter()
            while len(taken) < self._least_runs or (
                len(taken) < MOST_RUNS and time.perf_counter() - began < self._time_s
            ):
                if part:
                    self._displaced += 1
                else:
                    time.sleep(1e-3 * self._conditions.pause_ms)
                start = time.perf_counter()
                program.run(image)
                taken.append(1e3 * (time.perf_counter() - start))
        finally:
            if collecting:
                gc.enable()
        return taken


@functools.lru_cache(maxsize=32)  # the versions that a process has loaded stay, and sessions ask at each decision
def conditions(engine: str, threads: int) -> Conditions:
    """What a measurement with an engine on this machine holds for."""
    versions = []
    for name in DISTRIBUTIONS.get(engine, (engine,)):
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return Conditions(
        device=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        soc=processor(),
        engine=engine,
        threads=threads,
        precision="float32",
        runtime_version=", ".join(versions) or "unknown",
    )
