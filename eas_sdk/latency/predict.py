"""A latency table over the choices of a space, for selectors."""

from __future__ import annotations

import functools

import numpy as np

from eas_sdk.latency.segments import segments
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.protocol import Part, Space
from eas_sdk.space.tables import SumTable, part_costs


@functools.lru_cache(maxsize=64)
def choice_table(space: Space, table: LatencyTable, classes: int, factor: float = 1.0) -> SumTable:
    """Milliseconds, times a factor, of every network of a space with a classifier of so many classes.

    No part counts as faster than a smaller one in its place, by kernel, expansion ratio or image: such measurements are
    mostly noise, and the smallest network is then also the fastest, so that it decides what is feasible. Predictions
    are therefore never below `table.latency_ms`.

    Raises:
        TableError: the table lacks a segment of the space, or makes its smallest network take no time.
    """

    def milliseconds(part: Part) -> float:
        return factor * sum(table.segment_ms(segment) for segment in segments(part.nodes))

    base = factor * (table.offset_ms + table.segment_ms((space.classifier(classes),)))
    parts = space.monotonic(part_costs(space, milliseconds, np.float64))
    parts.setflags(write=False)
    made = SumTable(base, 0.0, parts)
    table.checked(float(made.total(space, space.encode([space.smallest]), classes)[0]) / factor)
    return made
