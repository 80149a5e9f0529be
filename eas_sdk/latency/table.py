"""A latency table: milliseconds of segments under stated conditions, as a value and as a JSON file.

::

    {"format": "eas-latency-table", "version": 1, "unit": "ms", "date": "2026-01-31", "scale": 1.08,
     "offset_ms": -0.2, "quick": false,
     "conditions": {"device": ..., "soc": ..., "engine": ..., "threads": 1, "precision": ..., "runtime_version": ...,
                    "binary_sha256": ..., "affinity": ..., "pause_ms": 0},
     "segments": {"56x56x24: conv 1x1 24>96 relu + ...": {"median_ms": 0.41, "spread_ms": 0.01, "count": 20}, ...}}
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.strict_json import loads
from eas_sdk.errors import TableError
from eas_sdk.graph.nodes import Linear, Node, Normalize
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.segments import Segment, key, segments
from eas_sdk.regular import read_regular

FORMAT, VERSION = "eas-latency-table", 1

MAX_BYTES = 64 * 2**20
LONGEST_MS = 1e7
SCALES = 1e-3, 1e3
"""Least and greatest scale."""


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """How long segments take.

    Attributes:
        conditions: what the measurements hold for.
        date: of the last measurement, ISO 8601.
        timings: segment key (see `segments.key`) -> measurement.
        scale, offset_ms: whole networks take `scale` times the sum of their segments and `offset_ms`, as measured.
        quick: whether the segments were not measured, but worked out from a few whole networks (see `quick.py`).
    """

    conditions: Conditions
    date: str
    timings: Mapping[str, Timing]
    scale: float = 1.0
    offset_ms: float = 0.0
    quick: bool = False

    def __repr__(self) -> str:
        conditions, quick = self.conditions, ", quick" if self.quick else ""
        return f"<LatencyTable: {conditions.engine}, {conditions.threads} threads, {len(self.timings)} segments{quick}>"

    def latency_ms(self, nodes: Sequence[Node]) -> float:
        """Predicted milliseconds of one image through a network.

        Raises:
            TableError: the table lacks a segment of it, or makes it take no time.
        """
        return self.checked(self.offset_ms + sum(self.segment_ms(segment) for segment in segments(nodes)))

    def checked(self, latency_ms: float) -> float:
        """A prediction, which is above 0.

        Raises:
            TableError: it is not.
        """
        if not latency_ms > 0:
            raise TableError(
                f"every network takes time; by the table of {self.conditions.device!r}, whose offset_ms is "
                f"{self.offset_ms:g}, one takes {latency_ms:g} ms: measure it again with `{command(self.conditions)} "
                "--fresh`"
            )
        return latency_ms

    def segment_ms(self, segment: Segment) -> float:
        """Milliseconds of one segment within a network.

        Raises:
            TableError: the table lacks it.
        """
        found = self.timings.get(key(segment))
        if found is not None:
            return self.scale * found.median_ms
        last = segment[-1]
        if isinstance(last, Linear) and len(segment) == 1:
            return self.scale * self._classifier_ms(last)
        raise TableError(
            f"a latency table holds every segment of the network; the one of {self.conditions.device!r} lacks "
            f"{key(segment)!r}: measure it with `{command(self.conditions)}`, and --bundle for a bundle of your own"
        )

    def lacks(self, parts: Iterable[Segment]) -> list[Segment]:
        """Those of `parts` that are not measured, each key once."""
        missing = {key(part): part for part in parts if key(part) not in self.timings}
        return list(missing.values())

    def _classifier_ms(self, node: Linear) -> float:
        """Between the classifiers with the nearest numbers of classes, in proportion."""
        form = re.compile(f"1x1x{node.in_features}: linear {node.in_features}>([1-9][0-9]{{0,8}})")
        known = sorted((int(match[1]), t.median_ms) for k, t in self.timings.items() if (match := form.fullmatch(k)))
        if len(known) < 2:
            raise TableError(
                f"a latency table holds classifiers of two sizes at least, for {node.in_features} inputs; got "
                f"{len(known)}: measure them with `{command(self.conditions)}`, and --bundle for a bundle of your own"
            )
        classes, ms = zip(*known, strict=True)
        if node.out_features <= classes[-1]:
            return float(np.interp(node.out_features, classes, ms))
        slope = max((ms[-1] - ms[0]) / (classes[-1] - classes[0]), 0.0)
        return float(ms[-1] + slope * (node.out_features - classes[-1]))


def differences(found: Conditions, wanted: Conditions) -> str:
    """How conditions differ, in words; "" where they do not."""
    theirs, ours = asdict(found), asdict(wanted)
    return ", ".join(f"{n} {theirs[n]!r} instead of {ours[n]!r}" for n in ours if ours[n] != theirs[n])


def command(conditions: Conditions) -> str:
    """The command line that measures under such conditions."""
    threads = f" --threads {conditions.threads}" if conditions.threads != 1 else ""
    threads += f" --pause {conditions.pause_ms:g}" if conditions.pause_ms else ""
    if conditions.engine == "benchmark_model":
        return f"eas lut build --adb --benchmark-model FILE --precision {conditions.precision}{threads} --output TABLE"
    return f"eas lut build --engine {conditions.engine}{threads}"


def write(table: LatencyTable, path: str | os.PathLike[str]) -> None:
    """Write a table as JSON, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    data = {
        "format": FORMAT,
        "version": VERSION,
        "unit": "ms",
        "date": table.date,
        "scale": table.scale,
        "offset_ms": table.offset_ms,
        "quick": table.quick,
        "conditions": asdict(table.conditions),
        "segments": {name: asdict(timing) for name, timing in sorted(table.timings.items())},
    }
    write_atomically(path, [json.dumps(data, indent=1, allow_nan=False).encode()])


def read(path: str | os.PathLike[str]) -> LatencyTable:
    """Read a table.

    Raises:
        TableError: the file is malformed, too large or of another version; the message names file and entry.
        OSError: it cannot be read.
    """
    content = read_regular(path, MAX_BYTES)
    try:
        if len(content) > MAX_BYTES:
            raise TableError(f"a latency table has at most {MAX_BYTES} bytes; this file has more")
        return parse(content)
    except TableError as error:
        raise TableError(f"{os.fspath(path)}: {error}") from error


def parse(content: bytes) -> LatencyTable:
    """The table that a file's content holds.

    Raises:
        TableError: it is malformed or of another version.
    """
    try:
        data = loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise TableError(f"a latency table is JSON; {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise TableError(f"a latency table is a JSON object whose 'format' is {FORMAT!r}; got {reprlib.repr(data)}")
    version, unit = data.get("version"), data.get("unit")
    if type(version) is not int or version != VERSION or unit != "ms":
        raise TableError(
            f"this release reads latency tables of 'version' {VERSION} in the 'unit' 'ms'; got version "
            f"{reprlib.repr(version)} in {reprlib.repr(unit)}"
        )
    date, given, parts = data.get("date"), data.get("conditions"), data.get("segments")
    if not isinstance(date, str) or not isinstance(given, dict) or not isinstance(parts, dict):
        raise TableError("a latency table has a text 'date' and objects 'conditions' and 'segments'")
    scale = data.get("scale")
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not SCALES[0] <= scale <= SCALES[1]:
        raise TableError(f"the 'scale' of a latency table is a number from 0.001 to 1000; got {reprlib.repr(scale)}")
    offset_ms = data.get("offset_ms")
    if not isinstance(offset_ms, (int, float)) or isinstance(offset_ms, bool) or not abs(offset_ms) <= LONGEST_MS:
        raise TableError(
            f"the 'offset_ms' of a latency table is a number within ±{LONGEST_MS:g}; got {reprlib.repr(offset_ms)}"
        )
    quick = data.get("quick", False)  # tables of earlier releases have none
    if type(quick) is not bool:
        raise TableError(f"'quick' of a latency table is true or false; got {reprlib.repr(quick)}")
    timings = {name: _timing(name, entry) for name, entry in parts.items()}
    return LatencyTable(_conditions(given), date, timings, float(scale), float(offset_ms), quick)


def _conditions(data: Mapping[str, Any]) -> Conditions:
    texts = {field.name: str for field in fields(Conditions)}
    known = {**texts, "threads": int}
    del known["pause_ms"]
    for name, kind in known.items():
        value = data.get(name)
        if type(value) is not kind or (isinstance(value, int) and value < 1):
            what = "an integer of at least 1" if kind is int else "a text"
            raise TableError(f"the condition {name!r} of a latency table is {what}; got {reprlib.repr(value)}")
    pause_ms = data.get("pause_ms", 0.0)  # tables of earlier releases have none
    if not _is_time(pause_ms):
        raise TableError(f"the condition 'pause_ms' is a number from 0 to {LONGEST_MS:g}; got {reprlib.repr(pause_ms)}")
    return Conditions(**{name: data[name] for name in known}, pause_ms=float(pause_ms))


def _timing(name: str, data: object) -> Timing:
    entry = data if isinstance(data, dict) else {}
    median, spread, count = (entry.get(field) for field in ("median_ms", "spread_ms", "count"))
    if not _is_time(median) or not _is_time(spread) or type(count) is not int or count < 1:
        raise TableError(
            f"a segment has 'median_ms' and 'spread_ms' from 0 to {LONGEST_MS:g} and a 'count' of at least 1; "
            f"{name[:80]!r} has {reprlib.repr(data)}"
        )
    return Timing(float(entry["median_ms"]), float(entry["spread_ms"]), entry["count"])


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LONGEST_MS


def is_input(segment: Segment) -> bool:
    """Whether a segment is the one that takes the images in."""
    return isinstance(segment[0], Normalize)
