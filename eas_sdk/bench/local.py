"""Measuring a network in this process."""

from __future__ import annotations

import dataclasses
import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np

from eas_sdk.bank.slicing import cut
from eas_sdk.bench.figures import Case, Figures, Switch
from eas_sdk.bench.resident import growth_bytes
from eas_sdk.engine.protocol import Array
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import TableError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.segments import random_weights
from eas_sdk.latency.store import find
from eas_sdk.model import Model
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.task import resolve

WARM_UP = 2
SWITCHES = 7
LEAST_BATCHES = 3

TINY = dataclasses.replace(PAPER, input_sizes=(32,), width_multiplier=0.25)
"""Its smallest network wakes an engine up: the memory of the engine's own code is not the network's."""


def measure(runtime: Runtime, case: Case) -> Figures:
    """All figures of a network. Memory counts in full only where the process has run no other before.

    Raises:
        TaskError, InfeasibleBudget, TableError, InputError: see `Runtime.specialize`.
        MissingDependency: the engine's package is not installed.
    """
    architecture = select(runtime, case)
    classes = resolve(case.task, runtime.bundle.superclasses).classes
    shape = Graph(runtime.bundle.space.structure(architecture, len(classes)), {}, ()).input_shape
    images = np.random.default_rng(0).random((case.batch, *shape), np.float32)
    image = images[:1]
    awake = load_engine(case.engine).compile(random_weights(TINY.structure(TINY.smallest, 2)), threads=case.threads)
    awake.run(np.zeros((1, 32, 32, 3), np.float32))
    grown = growth_bytes(lambda: bring_up(runtime, case, architecture, image))
    with _no_collection():
        switches = []
        for _ in range(SWITCHES):
            taken, model = switch(runtime, case, image)
            switches.append(taken)
        single = _times_ms(lambda: model.program.run(image), case.runs)
        batches = _times_ms(lambda: model.program.run(images), max(LEAST_BATCHES, math.ceil(case.runs / case.batch)))
    low, median, high, p95 = np.quantile(single, [0.25, 0.5, 0.75, 0.95]).tolist()
    return Figures(
        architecture=str(model.architecture),
        madds=model.madds,
        parameters=model.parameters,
        latency_p50_ms=median,
        latency_spread_ms=(high - low) / 2,
        latency_p95_ms=p95,
        predicted_latency_ms=predicted_latency_ms(runtime, model.graph, case),
        images_per_s=1e3 * case.batch / statistics.median(batches),
        memory_growth_bytes=grown,
        predicted_memory_bytes=model.memory_bytes,
        switch=sorted(switches, key=lambda taken: taken.total_ms)[SWITCHES // 2],
    )


def select(runtime: Runtime, case: Case) -> Architecture:
    """The architecture for a task and a budget; see `Runtime.architectures`."""
    (found,) = runtime.architectures([(case.task, case.budget)], engine=case.engine, threads=case.threads)
    return found


def switch(runtime: Runtime, case: Case, image: Array) -> tuple[Switch, Model]:
    """What `Runtime.specialize` and a first prediction do, with the time of each step."""
    began = time.perf_counter()
    architecture = select(runtime, case)
    select_ms = 1e3 * (time.perf_counter() - began)
    model, (slice_ms, compile_ms, first_ms) = bring_up(runtime, case, architecture, image)
    return Switch(select_ms, slice_ms, compile_ms, first_ms, select_ms + slice_ms + compile_ms + first_ms), model


def bring_up(runtime: Runtime, case: Case, architecture: Architecture, image: Array) -> tuple[Model, list[float]]:
    """The network of an architecture after its first prediction; milliseconds to slice, compile and predict."""
    times = [time.perf_counter()]
    task = resolve(case.task, runtime.bundle.superclasses)
    graph = cut(runtime.bundle, architecture, task.classes)
    times.append(time.perf_counter())
    program = load_engine(case.engine).compile(graph, threads=case.threads)
    times.append(time.perf_counter())
    program.run(image)
    times.append(time.perf_counter())
    model = Model(
        task, architecture, cost(graph.nodes), graph, runtime.bundle, program, case.engine, threads=case.threads
    )
    return model, (1e3 * np.diff(times)).tolist()


def predicted_latency_ms(runtime: Runtime, graph: Graph, case: Case) -> float | None:
    """What the latency table says of a network that its budget was met by, else the runtime's or this machine's.

    None where there is none of the engine: another engine's numbers are no prediction of what is measured.
    """
    with suppress(TableError):
        table = runtime.costs(case.budget, case.engine, case.threads).latency or find(case.engine, case.threads)
        if case.engine in ("auto", table.conditions.engine):
            return table.latency_ms(graph.nodes)
    return None


def _times_ms(run: Callable[[], object], count: int) -> list[float]:
    for _ in range(WARM_UP):
        run()
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: it would fall on one run or another."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
