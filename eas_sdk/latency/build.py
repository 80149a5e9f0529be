"""Building a latency table: every segment of a space, measured once, in a file that grows as it goes."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from eas_sdk.errors import TableError
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import Linear, Node
from eas_sdk.latency.check import check
from eas_sdk.latency.meter import Meter, Timing
from eas_sdk.latency.segments import Segment, additions, input_network, key, repeated, segments
from eas_sdk.latency.table import SCALES, LatencyTable, differences, is_input, read, write
from eas_sdk.space.elastic import ElasticSpace
from eas_sdk.space.structure import every_block, structure

COPIES = 3
"""Of a segment in the larger of the two networks whose difference is its latency."""

ADDITIONS = 8
"""More additions in the larger of the two networks whose difference is theirs."""


def space_segments(space: ElasticSpace, classes: Iterable[int]) -> list[Segment]:
    """Every segment that a network of the space can have, each once.

    Args:
        classes: numbers of classes to measure a classifier for.
    """
    smallest = structure(space, space.smallest, 1)
    found = {key(part): part for part in segments(smallest) if not isinstance(part[-1], Linear)}
    classifier = smallest[-1]
    assert isinstance(classifier, Linear)
    for count in sorted(set(classes)):
        part: Segment = (Linear(classifier.name, classifier.inputs, classifier.in_features, count),)
        found[key(part)] = part
    for *_, nodes in every_block(space):
        found.setdefault(key(nodes), nodes)
    return list(found.values())


def build(
    meter: Meter,
    parts: Iterable[Segment],
    path: str | os.PathLike[str],
    *,
    advance: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> LatencyTable:
    """Measure the segments that the table at `path` lacks; what is measured is in the file at once.

    Args:
        path: of the table; may exist, from a run that was cut.
        advance: told how many segments are done, of how many, and the last one's key.

    Raises:
        TableError: the file holds measurements under other conditions.
        DeviceError: the device failed; what was measured before is kept.
    """
    target = Path(path)
    table = read(target) if target.exists() else LatencyTable(meter.conditions, "", {})
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
    """Set a table's scale by whole networks, and write it.

    Raises:
        TableError: its blocks do not add up to networks at all.
        DeviceError: see `build`.
    """
    scale = check(meter, replace(table, scale=1.0), networks, advance).ratio
    if not SCALES[0] <= scale <= SCALES[1]:
        raise TableError(
            f"whole networks take from {SCALES[0]:g} to {SCALES[1]:g} times the sum of their blocks; got {scale:.3g}: "
            f"measure {os.fspath(path)} again with `eas lut build --fresh`"
        )
    table = replace(table, scale=scale)
    write(table, path)
    return table


def measure(meter: Meter, segment: Segment, additions_ms: dict[tuple[int, ...], float]) -> Timing:
    """Milliseconds of one segment: what more of it adds to a network.

    Args:
        additions_ms: shape -> milliseconds of one addition; grows.
    """
    first, last = segment[0], segment[-1]
    if is_input(segment):
        side, _, channels = output_shape(first)
        whole = meter.measure(input_network(side, channels), part=True)
        return Timing(whole.median_ms, whole.spread_ms, whole.count)
    if isinstance(last, Linear):
        side, _, channels = 1, 1, last.in_features
        without = meter.measure(input_network(side, channels), part=True)
        whole = meter.measure(repeated(segment, 1), part=True)
        return _difference(whole, without, 1, 0.0)
    shape = output_shape(last)
    if shape not in additions_ms:
        one, more = (meter.measure(additions(shape[0], shape[2], count), part=True) for count in (1, 1 + ADDITIONS))
        additions_ms[shape] = max(more.median_ms - one.median_ms, 0.0) / ADDITIONS
    one, more = (meter.measure(repeated(segment, count), part=True) for count in (1, COPIES))
    return _difference(more, one, COPIES - 1, additions_ms[shape])


def _difference(more: Timing, less: Timing, segments: int, addition_ms: float) -> Timing:
    median = max((more.median_ms - less.median_ms) / segments - addition_ms, 0.0)
    return Timing(median, (more.spread_ms + less.spread_ms) / segments, min(more.count, less.count))
