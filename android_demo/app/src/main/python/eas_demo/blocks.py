"""The benchmark button: every block of the bundle's networks is timed where frames run, and a latency table is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from eas_sdk.device.state import THERMAL, DeviceState
from eas_sdk.errors import DeviceError
from eas_sdk.export import SIGNATURE, Options, load_exporter
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.build import build, calibrate, space_segments
from eas_sdk.latency.check import random_networks
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.table import LatencyTable
from eas_sdk.runtime import Runtime

CLASSIFIERS = (2, 64, 512)
"""Numbers of classes that classifiers are measured for, beside those of the bundle's superclasses."""

NETWORKS = 24
"""Whole networks that the table's scale and offset come from."""

RUNS, PAUSED_RUNS = 30, 15
"""Timed inferences of each block, and of each whole network, which has pauses between them."""

STEADY, TRIES = 0.15, 3
"""Where the spread of the times is a larger part of their median, something else ran: they are taken again, and the
fastest of so many tries counts."""

HOTTEST = "light"
"""Greatest heat at which a measurement begins."""

COOL_DOWN_S, POLL_S = 120.0, 2.0


class BlockRunner(Protocol):
    """What runs files: Kotlin with LiteRT (BlockTimer.kt), or the stand-in."""

    def run(self, path: str, runs: int, displaced: bool, pause_ms: float, /) -> Sequence[float]:
        """Milliseconds of so many inferences after warm-up.

        Args:
            displaced: whether other data goes through the caches before each, as in a larger network.
            pause_ms: before each inference.
        """
        ...


class Listener(Protocol):
    """What is told of progress."""

    def show(self, done: int, total: int, what: str, /) -> bool:
        """Show progress; False stops the measurement. What is measured is kept."""
        ...


class Stopped(DeviceError):
    """The user stopped the measurement."""


class AppMeter:
    """Times networks where the app runs them (see `eas_sdk.latency.meter.Meter`).

    Args:
        runner: runs a file.
        folder: for the file of the block in question.
        read_state: tells whether the phone is too hot.
    """

    def __init__(
        self,
        runner: BlockRunner,
        conditions: Conditions,
        folder: Path,
        read_state: Callable[[], DeviceState],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runner, self._conditions, self._read_state, self._sleep = runner, conditions, read_state, sleep
        self._file = folder / "block.tflite"
        self._exporter = load_exporter(".tflite")

    @property
    def conditions(self) -> Conditions:
        """See `Meter.conditions`."""
        return self._conditions

    def measure(self, graph: Graph, *, part: bool = False) -> Timing:
        """See `Meter.measure`.

        Raises:
            DeviceError: the phone stays too hot, or gives no times.
            OSError: the storage is full.
        """
        self._wait_until_cool()
        options = Options("float32", "float32", "logits", None, "measured by eas_sdk", ())
        self._exporter.write({SIGNATURE: graph}, self._file, options)
        timings: list[Timing] = []
        try:
            while len(timings) < TRIES and not (timings and _is_steady(timings[-1])):
                timings.append(self._timing(part))
        finally:
            self._file.unlink(missing_ok=True)
        return min(timings, key=lambda timing: timing.median_ms)

    def _timing(self, part: bool) -> Timing:
        runs, pause_ms = (RUNS, 0.0) if part else (PAUSED_RUNS, self._conditions.pause_ms)
        times = [float(time_ms) for time_ms in self._runner.run(str(self._file), runs, part, pause_ms)]
        if len(times) < 2 or not all(time_ms > 0 for time_ms in times):
            raise DeviceError(f"a network is timed {runs} times, each above 0 ms; got {times[:5]}")
        low, median, high = statistics.quantiles(times, n=4)
        return Timing(median, (high - low) / 2, len(times))

    def _wait_until_cool(self) -> None:
        waited = 0.0
        while (heat := self._read_state().thermal) is not None and THERMAL.index(heat) > THERMAL.index(HOTTEST):
            if waited >= COOL_DOWN_S:
                raise DeviceError(
                    f"a measurement begins at a heat of at most {HOTTEST!r}; it is {heat!r} after {COOL_DOWN_S:g} s of "
                    "waiting: let the phone cool and measure again, what is measured is kept"
                )
            self._sleep(POLL_S)
            waited += POLL_S


def _is_steady(timing: Timing) -> bool:
    return timing.spread_ms <= STEADY * timing.median_ms


def measure_blocks(runtime: Runtime, meter: AppMeter, path: Path, listener: Listener) -> LatencyTable:
    """Measure what the table at `path` lacks, and write it block by block.

    Raises:
        Stopped: the listener said so.
        DeviceError, TableError, OSError: see `eas_sdk.latency.build.build`.
    """
    classes = {len(superclass.labels) for superclass in runtime.bundle.superclasses}
    parts = space_segments(runtime.bundle.space, (*CLASSIFIERS, *classes))
    networks = random_networks(runtime.bundle.space, NETWORKS, min(classes), seed=0)
    total = len(parts) + len(networks)

    def advance(done: int, what: str) -> None:
        if not listener.show(done, total, what):
            raise Stopped("the measurement was stopped; what is measured is kept")

    table = build(meter, parts, path, advance=lambda done, _, name: advance(done, name))
    done = len(parts)

    def next_network() -> None:
        nonlocal done
        done += 1
        advance(done, "whole networks")

    return calibrate(meter, table, networks, path, next_network)
