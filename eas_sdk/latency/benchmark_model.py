"""Reads what `benchmark_model`, the measuring program of TensorFlow Lite (now LiteRT), prints.

Its lines come bare (before TensorFlow 2.6), behind "INFO: ", or as a log of Android. What matters of them::

    Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
    count=51 first=9840 curr=9791 min=9702 max=10011 avg=9800.5 std=48                                  (warm-up)
    count=102 first=9790 curr=9810 min=9688 max=12100 avg=9820.31 std=240 p5=9701 median=9795 p95=9950  (measured)
    Inference timings in us: Init: 12750, First inference: 9840, Warmup (avg): 9800.5, Inference (avg): 9820.31
    Memory footprint delta from the start of the tool (MB): init=4.2 overall=11.5

Older builds print no percentiles; one run is `count=1 curr=9795`, equal runs are `count=3 curr=9795(all same)`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from eas_sdk.errors import DeviceError

Delegated = Literal["completely", "partially", "none", "unknown"]

_ERROR = re.compile(r"(?:^|\s)(?:ERROR:|E[ /]tflite\b)")
_COUNT = re.compile(r"(?:^|\s)(count=.*)")
_FIELD = re.compile(r"(\w+)=([^\s(]*)")
_TIMINGS = re.compile(
    r"Inference timings in us: Init: ([^\s,]+), First inference: ([^\s,]+), "
    r"Warmup \(avg\): [^\s,]+, Inference \(avg\): ([^\s,]+)"
)
_MEMORY = re.compile(r"(?:delta from the start of the tool|Peak memory footprint) \(MB\): init=\S+ overall=(\S+)")
_APPLIED = re.compile(r"applied XNNPACK delegate, and the model graph will be (completely|partially)", re.IGNORECASE)
_NOT_APPLIED = re.compile(r"XNNPACK delegate is explicitly applied, the model graph will not be")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_VERSION = re.compile(r"(?:TensorFlow Lite|TFLite|LiteRT)(?: runtime)? version:? v?([0-9][\w.+-]*)", re.IGNORECASE)

_QUARTILES = 0.6745 / (2 * 1.6449)
"""Half the distance between the quartiles of a normal distribution, as a part of that from its p5 to its p95."""


@dataclass(frozen=True)
class BenchmarkRun:
    """One run of the program.

    Attributes:
        init_ms: from nothing to a network that is ready.
        first_ms: the first inference of all.
        count: measured inferences; what follows is over them.
        median_ms: the mean, where the program prints no median.
        spread_ms: half the distance between the quartiles, taken from p5 and p95 as if times were distributed
            normally; the standard deviation, where the program prints no percentiles.
        memory_mb: what the tool's memory grew by; None where it does not say.
        delegated: how much of the network XNNPACK executed.
    """

    init_ms: float
    first_ms: float
    count: int
    median_ms: float
    spread_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    memory_mb: float | None
    delegated: Delegated


def parse(text: str) -> BenchmarkRun:
    """Read the whole output of one run.

    Raises:
        DeviceError: the program reported an error, its output is cut, or a number in it cannot be.
    """
    lines = text.splitlines()
    for line in lines:
        if _ERROR.search(line):  # failing inferences are timed like others, and an error tells them apart
            raise _unreadable("reports no error", line)
    end, timings = next(((i, m) for i, line in enumerate(lines) if (m := _TIMINGS.search(line))), (0, None))
    if timings is None:
        raise _unreadable("prints the line 'Inference timings in us: Init: ..., Inference (avg): ...'", text)
    counts = [m for line in lines[:end] if (m := _COUNT.search(line))]  # those behind it are of a profile
    if not counts:
        raise _unreadable("prints a line 'count=... avg=... std=...' for the measured runs", text)
    measured = counts[-1][1]
    fields = dict(_FIELD.findall(measured))
    count, statistics = _statistics(fields, measured)
    if not math.isclose(statistics["avg"], _number(timings[3], timings[0]), rel_tol=1e-3):
        raise _unreadable(f"gives one mean of the measured runs ({statistics['avg']:g} us)", timings[0])
    memory = next((m for line in lines if (m := _MEMORY.search(line))), None)
    return BenchmarkRun(
        init_ms=_time(timings[1], timings[0]) / 1e3,
        first_ms=_time(timings[2], timings[0]) / 1e3,
        count=count,
        median_ms=statistics["median"] / 1e3,
        spread_ms=statistics["spread"] / 1e3,
        min_ms=statistics["min"] / 1e3,
        max_ms=statistics["max"] / 1e3,
        mean_ms=statistics["avg"] / 1e3,
        memory_mb=None if memory is None else _number(memory[1], memory[0]),
        delegated=_delegated(text),
    )


def version(text: str) -> str:
    """The version that a program states of itself, or "unknown"."""
    found = _VERSION.search(text)
    return found[1] if found else "unknown"


def excerpt(text: str) -> str:
    """The last 200 characters of an output, on one line."""
    printable = "".join(c if c.isprintable() else " " for c in text[-1000:])
    return " ".join(printable.split())[-200:]


def _statistics(fields: dict[str, str], line: str) -> tuple[int, dict[str, float]]:
    """Count, and microseconds: avg, median, spread, min and max."""
    if not re.fullmatch("[1-9][0-9]{0,8}", fields["count"]):
        raise _unreadable("counts at least one measured run", line)
    if "avg" not in fields:  # one run, or equal runs
        value = _time(fields.get("curr", ""), line)
        known = {"avg": value, "median": value, "spread": 0.0, "min": value, "max": value}
    else:
        known = {name: _time(fields.get(name, ""), line) for name in ("avg", "std", "min", "max")}
        known["median"] = _time(fields["median"], line) if "median" in fields else known["avg"]
        if "p5" in fields and "p95" in fields:
            known["spread"] = (_time(fields["p95"], line) - _time(fields["p5"], line)) * _QUARTILES
        else:
            known["spread"] = known["std"]
    slack = 1e-4 * known["max"]  # means have six digits
    inside = all(known["min"] - slack <= known[name] <= known["max"] + slack for name in ("avg", "median"))
    if not inside or known["spread"] < 0:
        raise _unreadable("gives times with 'min' <= 'avg', 'median' <= 'max' and 'p5' <= 'p95'", line)
    return int(fields["count"]), known


def _time(token: str, line: str) -> float:
    value = _number(token, line)
    if value < 0:
        raise _unreadable("gives times of at least 0 us", line)
    return value


def _number(token: str, line: str) -> float:
    value = float(token) if _NUMBER.fullmatch(token) else math.nan
    if not math.isfinite(value):
        raise _unreadable("prints finite decimal numbers such as 9800.5 or 1.2e+06", line)
    return value


def _delegated(text: str) -> Delegated:
    applied = _APPLIED.search(text)
    if applied:
        return "completely" if applied[1].lower() == "completely" else "partially"
    return "none" if _NOT_APPLIED.search(text) else "unknown"


def _unreadable(rule: str, found: str) -> DeviceError:
    return DeviceError(f"a complete run of benchmark_model {rule}; got {excerpt(found) or 'no output'!r}")
