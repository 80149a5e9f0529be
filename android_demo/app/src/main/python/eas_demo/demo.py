"""What Kotlin calls: one object, texts and numbers in, JSON out. One thread at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eas_sdk
from eas_demo.blocks import AppMeter, BlockRunner, Listener, measure_blocks
from eas_demo.choice import MS, Choice
from eas_demo.files import NetworkFiles
from eas_demo.loop import Loop, fed, step
from eas_demo.own_bundle import own_bundle
from eas_demo.phone import conditions
from eas_sdk.bank.slicing import cut
from eas_sdk.budget import Budget
from eas_sdk.device.state import DeviceState, read_state
from eas_sdk.errors import EasError, InfeasibleBudget, TableError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.latency.table import LatencyTable, differences
from eas_sdk.latency.table import read as read_table
from eas_sdk.space.architecture import Architecture
from eas_sdk.task import resolve

TABLE = "latency.json"
NETWORKS = "networks"


@dataclass(frozen=True)
class Active:
    """The network that frames run through.

    Attributes:
        predicted_ms: None without a latency table.
        facts: what the screen shows of it.
    """

    task: str
    architecture: Architecture
    path: Path
    predicted_ms: float | None
    facts: dict[str, Any]


class Demo:
    """Decides, slices and writes.

    Args:
        folder: the app's storage (on Android `os.environ["HOME"]`).
        litert_version: as the app was built with it.
        threads: of an inference.
        bundle: file of a bundle; by default the app's own (`own_bundle`), or else the one that the SDK ships.

    Raises:
        BundleError, OSError: the bundle or the storage cannot be used.
    """

    def __init__(
        self,
        folder: str,
        litert_version: str = "",
        threads: int = 1,
        bundle: str | None = None,
        *,
        read_state: Callable[[], DeviceState] = read_state,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._threads = Path(folder), threads
        self._files = NetworkFiles(self._folder / NETWORKS)
        self._conditions = conditions(threads, litert_version)
        self._read_state, self._clock = read_state, clock
        with own_bundle() as own:
            self._runtime = eas_sdk.load(bundle or own)
        self._loop: Loop | None = None
        self._active: Active | None = None
        self._use_table(self._stored_table())

    def info(self) -> str:
        """JSON: {"bundle", "tasks": {name: {"labels": [...], "madds": [low, high], "ms": [low, high] or null}},
        "table": path or null}."""
        runtime, times = self._runtime, self._ranges_ms()
        tasks = {}
        for superclass in runtime.bundle.superclasses:
            tasks[superclass.name] = {
                "labels": list(superclass.labels),
                "madds": list(runtime.budget_range(superclass.name)),
                "ms": times.get(superclass.name),
            }
        return json.dumps(
            {
                "bundle": runtime.bundle.name,
                "tasks": tasks,
                "table": str(self.table_path) if runtime.latency is not None else None,
            }
        )

    def update(self, task: str, unit: str, value: float, network: str = "", measured_ms: Sequence[float] = ()) -> str:
        """What to run now, for a moved slider and for a tick alike.

        Args:
            unit, value: see `Choice`.
            network: file of the network that `measured_ms` was measured of.
            measured_ms: times of its frames since the last call.

        Returns:
            JSON: {"network": {"file", "task", "labels", "input_size", "madds", "memory_bytes", "predicted_ms",
            "architecture", "units", "slice_ms", "write_ms"} or null, "changed", "budget", "reason", "notice", "error",
            "state", "scale", "decide_ms"}. "input_size" is this network's alone; another's may differ. An error leaves
            the network as it was.
        """
        began, decided = time.perf_counter(), 0.0
        active, notice, error = self._active, "", ""
        state = self._read_state()
        try:
            loop = self._loop
            if loop is not None and active is not None and active.predicted_ms and network == str(active.path):
                loop = fed(loop, measured_ms, active.predicted_ms)
            timed = self._runtime.latency is not None
            if unit == MS and not timed:  # the runtime would measure Python, and frames run elsewhere
                raise TableError("a budget in milliseconds needs a latency table: measure this phone first")
            self._loop = loop = step(loop, Choice(task, unit, float(value)), state, self._clock(), timed=timed)
            architecture, notice = self._pick(loop)
            decided = time.perf_counter()
            if active is None or (active.task, active.architecture) != (task, architecture) or not active.path.exists():
                self._active = self._build(task, architecture)
        except (EasError, OSError) as problem:
            error = str(problem)
        now = self._active
        loop = self._loop
        return json.dumps(
            {
                "network": None if now is None else now.facts,
                "changed": now is not active,
                "budget": "" if loop is None else str(loop.budget),
                "reason": "" if loop is None else loop.reason,
                "notice": notice,
                "error": error,
                "state": state.to_json(),
                "scale": 1.0 if loop is None else loop.used.scale,
                "decide_ms": 1e3 * (decided - began) if decided else None,
            }
        )

    def discard(self, path: str) -> None:
        """Forget a network's file that cannot be run; the next `update` writes it anew."""
        Path(path).unlink(missing_ok=True)
        self._active = None

    @property
    def table_path(self) -> Path:
        """Where the latency table of this device lies, once it is measured."""
        return self._folder / TABLE

    def measure(self, runner: BlockRunner, listener: Listener) -> str:
        """Measure the blocks that are not measured yet; the path of the table. What was stopped goes on.

        Raises:
            Stopped: the listener said so.
            DeviceError, TableError, OSError: see `measure_blocks`.
        """
        if self._stored_table() is None:  # damaged, or of another version of LiteRT
            self.table_path.unlink(missing_ok=True)
        meter = AppMeter(runner, self._conditions, self._files.folder, self._read_state)
        self._use_table(measure_blocks(self._runtime, meter, self.table_path, listener))
        return str(self.table_path)

    def _pick(self, loop: Loop) -> tuple[Architecture, str]:
        """The network for the budget in force, and what there is to say of it."""
        task, budget = loop.choice.task, loop.adoption.budget
        try:
            (architecture,) = self._runtime.architectures([(task, budget)], engine="litert", threads=self._threads)
        except InfeasibleBudget as infeasible:
            (architecture,) = self._runtime.architectures(
                [(task, infeasible.nearest)], engine="litert", threads=self._threads
            )
            return architecture, f"no network keeps to {budget}; this one takes {infeasible.nearest}"
        return architecture, ""

    def _build(self, task: str, architecture: Architecture) -> Active:
        """Cut a network out of the bank and write it."""
        runtime = self._runtime
        bundle = runtime.bundle
        began = time.perf_counter()
        graph = cut(bundle, architecture, resolve(task, bundle.superclasses).classes)
        sliced = time.perf_counter()
        predicted = None if runtime.latency is None else runtime.latency.latency_ms(graph.nodes)
        path = self._files.path(bundle.metadata(), task, architecture, eas_sdk.__version__)
        self._files.write(graph, path, f"{bundle.name}: {task}", bundle.attributions)
        facts = {
            "file": str(path),
            "task": task,
            "labels": list(graph.labels),
            "input_size": graph.input_size,
            "madds": cost(graph.nodes).madds,
            "memory_bytes": memory_bytes(graph.nodes, "litert"),
            "predicted_ms": predicted,
            "architecture": str(architecture),
            "units": [[vars(block) for block in unit] for unit in architecture.units],
            "slice_ms": 1e3 * (sliced - began),
            "write_ms": 1e3 * (time.perf_counter() - sliced),
        }
        return Active(task, architecture, path, predicted, facts)

    def _ranges_ms(self) -> dict[str, list[float]]:
        """Task -> predicted times of its smallest and its largest network; empty without a table."""
        runtime, latency = self._runtime, self._runtime.latency
        if latency is None:
            return {}
        requests = [(task, Budget(level=level)) for task in runtime.tasks for level in (0.0, 1.0)]
        times = [
            latency.latency_ms(runtime.bundle.space.structure(architecture, len(runtime.labels(task))))
            for (task, _), architecture in zip(requests, runtime.architectures(requests), strict=True)
        ]
        return {task: sorted(times[2 * i : 2 * i + 2]) for i, task in enumerate(runtime.tasks)}

    def _stored_table(self) -> LatencyTable | None:
        """The table that was measured here; None where there is none that holds for this device as it is."""
        try:
            table = read_table(self.table_path)
        except (EasError, OSError):
            return None
        return None if differences(table.conditions, self._conditions) else table

    def _use_table(self, table: LatencyTable | None) -> None:
        """Predict times by a table, where it is whole."""
        space = self._runtime.bundle.space
        with contextlib.suppress(EasError):  # of a measurement that was stopped it says too little
            if table is not None:
                table.latency_ms(space.structure(space.largest, 2))
            self._runtime = dataclasses.replace(self._runtime, latency=table)
            self._active = self._loop = None
