"""The engine "auto": the fastest of the installed engines, measured once for a machine and a family of networks.

A family is what has the same input size and, to a power of two, the same multiply-adds: within one, the same engine
wins. Results are kept in a JSON file in the cache folder (see `eas_sdk.cache`). Where it cannot be written, or holds
nonsense, engines are measured again.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.cache import cache_folder
from eas_sdk.device.processor import processor
from eas_sdk.engine.checks import check_graph, check_threads
from eas_sdk.errors import InputError, MissingDependency
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Graph
from eas_sdk.processes import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eas_sdk.engine.protocol import Engine, Program

ROUNDS = 7
"""Timed runs of each engine, in turns; the median of each counts."""

TIME_LIMIT_S = 2.0
"""No new round begins after this."""

DISTRIBUTIONS = ("numpy", "ai-edge-litert", "tflite-runtime", "onnxruntime", "coremltools")
"""Packages whose versions decide how fast engines are."""

_lock = Lock()
_chosen: dict[str, str] = {}


class AutoEngine:
    """Chooses among `engines`, which maps names to functions that load them or raise MissingDependency."""

    name = "auto"

    def __init__(self, engines: Mapping[str, Callable[[], Engine]]) -> None:
        self._engines = engines

    def compile(self, graph: Graph, *, threads: int = 1) -> Program:
        """The program of the fastest engine; see `Engine.compile`."""
        return self.choose(graph, threads=threads)[1]

    def choose(self, graph: Graph, *, threads: int = 1) -> tuple[str, Program]:
        """The fastest engine's name and its program; see `compile`."""
        check_threads(threads)
        check_graph(graph)
        key = family(graph, threads)
        with _lock:  # two measurements at once would disturb each other
            name = _chosen.get(key) or _recall(key)
            if name in self._engines:
                with suppress(MissingDependency):
                    program = self._engines[name]().compile(graph, threads=threads)
                    _chosen[key] = name
                    return name, program
            name, program = self._fastest(graph, threads)
            _chosen[key] = name
            _remember(key, name)
            return name, program

    def _fastest(self, graph: Graph, threads: int) -> tuple[str, Program]:
        programs: dict[str, Program] = {}
        for name, load in self._engines.items():
            with suppress(MissingDependency):
                programs[name] = load().compile(graph, threads=threads)
        if len(programs) == 1:
            return next(iter(programs.items()))
        blank = np.zeros((1, *graph.input_shape), np.float32)
        times: dict[str, list[float]] = {name: [] for name in programs}
        for program in programs.values():
            program.run(blank)  # memory and caches
        began = time.perf_counter()
        for _ in range(ROUNDS):
            for name, program in programs.items():
                start = time.perf_counter()
                program.run(blank)
                times[name].append(time.perf_counter() - start)
            if time.perf_counter() - began > TIME_LIMIT_S:
                break
        best = min(programs, key=lambda name: statistics.median(times[name]))
        return best, programs[best]


def family(graph: Graph, threads: int) -> str:
    """What a choice holds for: machine, versions, threads, input size and magnitude of the network."""
    versions = []
    for name in DISTRIBUTIONS:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name}={metadata.version(name)}")
    magnitude = round(math.log2(max(cost(graph.nodes).madds, 1)))
    machine = (platform.system(), platform.machine(), processor(), os.cpu_count(), threads)
    return " ".join(map(str, (*machine, *versions, f"{graph.input_size}px", f"2^{magnitude}")))


def cache_file() -> Path:
    """Where choices are remembered."""
    return cache_folder() / "engines.json"


def _read() -> dict[str, str]:
    try:
        kept = json.loads(cache_file().read_bytes())
    except (OSError, ValueError):  # InputError, of a user without a home folder, is one
        return {}
    if not isinstance(kept, dict):
        return {}
    return {key: name for key, name in kept.items() if isinstance(name, str)}


def _recall(key: str) -> str:
    return _read().get(key, "")


def _remember(key: str, name: str) -> None:
    with suppress(OSError, InputError):
        path = cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, [json.dumps(_read() | {key: name}, indent=1, sort_keys=True).encode()])
