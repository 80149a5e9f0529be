"""Who waits for whom: the waits inside predictions of the numpy engine, and the turns of a thread that builds."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from eas_sdk.adaptive import controller, pace
from eas_sdk.engine.numpy_kernels.plan import Plan

SHORT_S = 0.0001
"""Shorter waits are the clocks' own time."""


def percentiles(values: Sequence[float] | npt.NDArray[np.float64], wanted: Sequence[int]) -> dict[str, float]:
    """{"p50": ..., "max": ...}"""
    names = ["max" if percent == 100 else f"p{percent}" for percent in wanted]
    return dict(zip(names, (round(float(p), 4) for p in np.percentile(values, wanted)), strict=True))


class Figures:
    """Rows of numbers in memory that is taken at once: what is measured beside them is the resident set."""

    def __init__(self, columns: int, most: int = 2**21) -> None:
        self._held = np.full((most, columns), np.nan)
        self._count = 0

    def add(self, *row: float) -> None:
        """One more, until there is no room."""
        if self._count < len(self._held):
            self._held[self._count] = row
            self._count += 1

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """[rows, columns]"""
        return self._held[: self._count]


class Turns:
    """The turns of the thread that builds: begin and end by `time.perf_counter`, and for how long it can have blocked.

    A turn during which the system took no core from the thread (no involuntary context switch) waited, if it did, for
    the interpreter, which it then did not hold: it can have blocked others for its CPU time only. Any other turn may
    have been interrupted while it held the interpreter, and can have blocked them all along.

    Args:
        paced: whether it rests between its turns; without rests, a whole decision is one turn.
    """

    def __init__(self, *, paced: bool = True) -> None:
        self._cpu_ms = Figures(1)
        self._paced = paced
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=4096)
        self._began: float | None = None
        self._before: tuple[float, float] | None = None

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Inside the `with`, builds leave their turns here."""
        if self._paced:
            with mock.patch.object(pace, "rest", self._rest):
                yield
        else:
            with mock.patch.object(controller, "paced", return_value=contextlib.nullcontext()):
                yield

    @contextlib.contextmanager
    def decision(self) -> Iterator[None]:
        """Inside the `with`, a decision is made on the session's thread."""
        self._began, self._before = time.perf_counter(), None  # of the first turn, only the calling thread is known
        yield
        assert self._began is not None
        self._recent.append((self._began, time.perf_counter(), math.inf))
        self._began = None

    def within(self, began: float, ended: float) -> list[tuple[float, float, float]]:
        """Those that overlap with an interval, the current one included."""
        current, found = self._began, []
        if current is not None:
            found.append((current, ended, math.inf))
        for turn in reversed(tuple(self._recent)):
            if turn[1] < began:
                break
            found.append(turn)
        return found

    @property
    def cpu_ms(self) -> npt.NDArray[np.float64]:
        """CPU time of the turns so far."""
        return self._cpu_ms.rows[:, 0]

    def _rest(self, seconds: float) -> None:
        assert self._began is not None
        most_s = math.inf
        if self._before is not None:
            cpu_s, taken = (now - before for now, before in zip(_usage(), self._before, strict=True))
            self._cpu_ms.add(1e3 * cpu_s)
            most_s = cpu_s if taken == 0 else math.inf
        self._recent.append((self._began, time.perf_counter(), most_s))
        self._began = None
        time.sleep(seconds)
        self._began, self._before = time.perf_counter(), _usage()


def _usage() -> tuple[float, float]:
    """CPU seconds of this thread, and how often the system took its core."""
    if not hasattr(resource, "RUSAGE_THREAD"):  # not Linux: it may have been so in every turn
        return time.thread_time(), math.nan
    return time.thread_time(), resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class Waits:
    """The waits of predictions, one entry a prediction. Threads share it."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._local = threading.local()
        self._lock = threading.Lock()
        self._rows = Figures(4)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Inside the `with`, the calls of predictions between `begin` and `end` are timed."""
        run = Plan.run
        with mock.patch.object(Plan, "run", lambda plan: self._run(plan, run)):
            yield

    def begin(self) -> None:
        """A prediction of this thread begins."""
        self._local.began, self._local.waits = time.perf_counter(), []

    def _run(self, plan: Plan, run: Callable[[Plan], None]) -> None:
        waits = getattr(self._local, "waits", None)
        if waits is None:
            run(plan)
            return
        clock, cpu = time.perf_counter, time.thread_time
        began, used = clock(), cpu()
        for function, operands, out in plan.calls:
            function(*operands, out=out)
            now, spent = clock(), cpu()
            wait = now - began - (spent - used)
            if wait > SHORT_S:
                waits.append((began, now, wait))
            began, used = now, spent

    def end(self, elapsed_ms: float) -> None:
        """The prediction has ended."""
        longest = blocked = total = 0.0
        waits, self._local.waits = self._local.waits, None
        turns = self._turns.within(self._local.began, time.perf_counter())
        if waits:
            starts, ends, lengths = np.array(waits).T
            longest = lengths.max()
            if turns:
                first, last, most = np.array(turns).T
                overlap = np.minimum.outer(ends, last) - np.maximum.outer(starts, first)
                blame = np.minimum(lengths, np.clip(overlap, 0, most).sum(1))
                blocked, total = blame.max(), blame.sum()
        with self._lock:
            self._rows.add(elapsed_ms, 1e3 * longest, 1e3 * blocked, 1e3 * total)

    def figures(self) -> dict[str, Any]:
        """Percentiles over the predictions."""
        rows = self._rows.rows.T
        names = ("prediction_ms", "longest_wait_ms", "blocked_ms", "blocked_total_ms")
        return {name: percentiles(row, (50, 95, 99, 100)) for name, row in zip(names, rows, strict=True)}
