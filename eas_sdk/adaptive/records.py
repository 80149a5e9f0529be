"""What a session tells of itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from eas_sdk.budget import Budget, format_madds
from eas_sdk.engine.protocol import Array
from eas_sdk.model import Model
from eas_sdk.processes import Lock
from eas_sdk.space.architecture import Architecture


@dataclass(frozen=True, eq=False)
class Answer:
    """Logits, and where they come from.

    Attributes:
        logits: float32 N x len(model.labels).
        model: the network that gave them; its task may be the one before, while another is being built.
        elapsed_ms: what the whole batch took, once the images had the network's size.
    """

    logits: Array
    model: Model
    elapsed_ms: float


@dataclass(frozen=True)
class Switch:
    """One network took the place of another.

    Attributes:
        time_s: when, by the session's clock.
        task: name of the new network's task.
        before, after: the architectures.
        before_madds, after_madds: their multiply-adds.
        budget: the one in force, corrected by the closed loop.
        reason: why, for people.
        cached: whether the new network was still there from an earlier switch.
        build_ms: what building it took, rests and warm-up included; 0 where it was cached.
        switch_ms: from the choice of the architecture until predictions used the network.
        swap_us: the exchange itself, in microseconds.
    """

    time_s: float
    task: str
    before: Architecture
    after: Architecture
    before_madds: int
    after_madds: int
    budget: Budget
    reason: str
    cached: bool
    build_ms: float
    switch_ms: float
    swap_us: float

    def __str__(self) -> str:
        change = f"{format_madds(self.before_madds)} -> {format_madds(self.after_madds)}"
        return f"{self.task}: {change} within {self.budget} ({self.reason})"


@dataclass(frozen=True)
class Counters:
    """What a session did so far.

    Attributes:
        predictions: calls that were answered.
        decisions: times that the budget was decided.
        switches: networks that took the place of another.
        builds: networks that were built, the first one included.
        failures: decisions that ended in an error and left the network as it was.
        infeasible: budgets that no network meets, where the nearest feasible one was taken.
        callback_errors: exceptions of `on_switch` and `on_error`.
        cache_hits, cache_misses, evictions: of the cache of networks.
        cached_networks, cached_bytes: what it holds, the active network included.
        last_switch_ms: see `Switch.switch_ms`; None before the first.
    """

    predictions: int
    decisions: int
    switches: int
    builds: int
    failures: int
    infeasible: int
    callback_errors: int
    cache_hits: int
    cache_misses: int
    evictions: int
    cached_networks: int
    cached_bytes: int
    last_switch_ms: float | None


class Tally:
    """A number that threads raise by one without waiting for each other."""

    def __init__(self) -> None:
        self._count = itertools.count()
        self._reads = 0
        self._lock = Lock()

    def add(self) -> None:
        """One more."""
        next(self._count)  # a single step of the interpreter

    @property
    def value(self) -> int:
        """How many so far."""
        with self._lock:  # reading takes a number too
            self._reads += 1
            return next(self._count) - self._reads + 1
