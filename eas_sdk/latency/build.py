"""Building a latency table: every segment of a space, measured once, in a file that grows as it goes."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from eas_sdk.errors import TableError
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import GlobalMean, Linear, Node
from eas_sdk.latency.check import Check, check
from eas_sdk.latency.meter import Meter, Timing
from eas_sdk.latency.segments import Segment, additions, input_network, key, repeated, segments
from eas_sdk.latency.table import SCALES, LatencyTable, differences, is_input, read, write
from eas_sdk.space.protocol import Space

COPIES = 3
"""Of a segment in the larger of the two networks whose difference is its latency."""

LEAST_NETWORKS = 8
"""With fewer whole networks, a line through them says little."""

LEAST_OFFSET, MOST_OFFSET = -0.5, 0.9
"""The offset's bounds. Below zero it is a part of the fastest network's blocks, scaled or not: no network may come out
free. Above, where it is what every inference costs, a part of the fastest network's time: blocks have to count."""

ADDITIONS = 8
"""More additions in the larger of the two networks whose difference is theirs."""


def space_segments(space: Space, classes: Iterable[int]) -> list[Segment]:
    """Every segment that a network of the space can have, each once.

    Args:
        classes: numbers of classes to measure a classifier for.
    """
    parts = [part for possible in space.every_part() for part in segments(possible.nodes)]
    classifiers: list[Segment] = [(space.classifier(count),) for count in sorted(set(classes))]
    return list({key(part): part for part in (*parts, *classifiers)}.values())


def build(
    meter: Meter,
    parts: Iterable[Segment],
    path: str | os.PathLike[str],
    *,
    advance: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> LatencyTable:
    """Measure the segments that the table at `path` lacks; what is measured is in the file at once.

    Args:
        path: of the table; may exist, from a run that was cut. A quick one is replaced.
        advance: told how many segments are done, of how many, and the last one's key.

    Raises:
        TableError: the file holds measurements under other conditions.
        DeviceError: the device failed; what was measured before is kept.
    """
    target = Path(path)
    empty = LatencyTable(meter.conditions, "", {})
    table = read(target) if target.exists() else empty
    if table.quick:
        table = empty
    if differing := differences(table.conditions, meter.conditions):
        raise TableError(
            f"{target}: a table holds measurements of one kind; this one has {differing}: remove it, or measure "
            "everything again with `eas lut build --fresh`"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = list(parts)
    missing = table.lacks(parts)
    done = len({key(part) for part in parts}) - len(missing)
    total = done + len(missing)
    additions_ms: dict[tuple[int, ...], float] = {}
    for part in missing:
        timing = measure(meter, part, additions_ms)
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        table = replace(table, date=date, timings={**table.timings, key(part): timing})
        write(table, target)
        done += 1
        advance(done, total, key(part))
    return table


def calibrate(
    meter: Meter,
    table: LatencyTable,
    networks: Iterable[tuple[str, Sequence[Node]]],
    path: str | os.PathLike[str],
    advance: Callable[[], None] = lambda: None,
) -> LatencyTable:
    """Set a table's scale and offset by whole networks, and write it.

    Caches treat the layers of a large network worse, and those of a small one better, than parts that are measured
    alone: a line through whole networks takes care of both.

    Raises:
        TableError: whole networks have nothing to do with the sum of their blocks.
        DeviceError: see `build`.
    """
    found = check(meter, replace(table, scale=1.0, offset_ms=0.0), networks, advance)
    scale, offset_ms = line(found)
    if not SCALES[0] <= scale <= SCALES[1]:
        raise TableError(
            f"whole networks take from {SCALES[0]:g} to {SCALES[1]:g} times the sum of their blocks; got {scale:.3g}: "
            f"measure {os.fspath(path)} again with `eas lut build --fresh`, while nothing else runs"
        )
    table = replace(table, scale=scale, offset_ms=offset_ms)
    write(table, path)
    return table


def line(found: Check) -> tuple[float, float]:
    """Scale and offset (ms) of least relative error; of few networks, or of a line that makes no sense, scale alone."""
    predicted, measured = (
        np.array([getattr(network, name) for network in found.networks]) for name in ("predicted_ms", "measured_ms")
    )
    if len(predicted) >= LEAST_NETWORKS and np.ptp(predicted) > 0:
        terms = np.stack([predicted, np.ones_like(predicted)], 1) / measured[:, None]
        (scale, offset_ms), *_ = np.linalg.lstsq(terms, np.ones_like(measured), rcond=None)
        least, most = LEAST_OFFSET * min(scale, 1) * predicted.min(), MOST_OFFSET * measured.min()
        if scale > 0 and least < offset_ms < most:
            return float(scale), float(offset_ms)
    return found.ratio, 0.0


def measure(meter: Meter, segment: Segment, additions_ms: dict[tuple[int, ...], float]) -> Timing:
    """Milliseconds of one segment: what more of it adds to a network.

    Args:
        additions_ms: shape -> milliseconds of one addition; grows.
    """
    first, last = segment[0], segment[-1]
    if is_input(segment):
        return _input(meter, output_shape(first), additions_ms)
    if isinstance(last, Linear):
        whole = meter.measure(repeated(segment, 1), part=True)
        return _difference(whole, _input(meter, (1, 1, last.in_features), additions_ms), 1, 0.0)
    shape = output_shape(last)
    if shape not in additions_ms:
        one, more = (meter.measure(additions(shape[0], shape[2], count), part=True) for count in (1, 1 + ADDITIONS))
        additions_ms[shape] = max(more.median_ms - one.median_ms, 0.0) / ADDITIONS
    one, more = (meter.measure(repeated(segment, count), part=True) for count in (1, COPIES))
    return _difference(more, one, COPIES - 1, additions_ms[shape])


def _input(meter: Meter, shape: tuple[int, ...], additions_ms: dict[tuple[int, ...], float]) -> Timing:
    """What any network spends on taking in a map of a shape, calling and normalising included."""
    side, _, channels = shape
    mean = measure(meter, (GlobalMean("mean", ("in",), side, channels),), additions_ms)
    return _difference(meter.measure(input_network(side, channels), part=True), mean, 1, 0.0)


def _difference(more: Timing, less: Timing, segments: int, addition_ms: float) -> Timing:
    median = max((more.median_ms - less.median_ms) / segments - addition_ms, 0.0)
    return Timing(median, (more.spread_ms + less.spread_ms) / segments, min(more.count, less.count))
