"""What is measured, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from eas_sdk.budget import Budget


@dataclass(frozen=True)
class Case:
    """One network, as it is asked for, and how often it runs.

    Attributes:
        task: the name of a superclass.
        budget: what one image may cost.
        engine: what runs the network: a name of `eas_sdk.engine.ENGINES`, or "benchmark_model" on a phone.
        threads: most threads for one prediction.
        runs: timed predictions of one image.
        batch: images at once, for the throughput.
    """

    task: str
    budget: Budget
    engine: str = "numpy"
    threads: int = 1
    runs: int = 50
    batch: int = 16


@dataclass(frozen=True)
class Switch:
    """From a request to the first prediction of the new network.

    Attributes:
        select_ms: find the architecture.
        slice_ms: cut its weights out of the bank.
        compile_ms: make the engine's program of them.
        first_ms: predict one image.
        total_ms: all of it.
    """

    select_ms: float
    slice_ms: float
    compile_ms: float
    first_ms: float
    total_ms: float


@dataclass(frozen=True)
class Figures:
    """One network, measured. What is unknown is None: of a phone, all but the latency.

    Attributes:
        architecture, madds, parameters: of the network that the budget led to.
        latency_p50_ms, latency_p95_ms: one image, after warm-up.
        latency_spread_ms: half the distance between the quartiles.
        predicted_latency_ms: what a latency table of the engine says.
        images_per_s: throughput of batches.
        memory_growth_bytes: what the peak resident memory of the process grew by, from an architecture to the first
            prediction of its network: float32 weights, the engine's program and activations.
        predicted_memory_bytes: what a budget in memory counts.
        switch: the median one.
    """

    architecture: str
    madds: int
    parameters: int
    latency_p50_ms: float
    latency_spread_ms: float
    latency_p95_ms: float | None = None
    predicted_latency_ms: float | None = None
    images_per_s: float | None = None
    memory_growth_bytes: int | None = None
    predicted_memory_bytes: int | None = None
    switch: Switch | None = None


@dataclass(frozen=True)
class Row:
    """The outcome for one task, budget and engine: figures, or the error that there are instead.

    Attributes:
        budget: as it was written.
    """

    task: str
    budget: str
    engine: str
    figures: Figures | None
    error: str | None = None
