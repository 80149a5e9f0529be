"""A latency table over the choices of a space, for selectors."""

from __future__ import annotations

import functools

import numpy as np

from eas_sdk.latency.segments import segments
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import SumTable, part_costs


@functools.lru_cache(maxsize=64)
def choice_table(space: Space, table: LatencyTable, classes: int, factor: float = 1.0) -> SumTable:
    """Milliseconds, times a factor, of every network of a space with a classifier of so many classes.

    No block counts as faster than one of a smaller kernel or expansion ratio: such measurements are mostly noise, and
    the smallest network is then also the fastest, so that it decides what is feasible. Predictions are therefore never
    below `table.latency_ms`.

    Raises:
        TableError: the table lacks a segment of the space.
    """
    before, after = space.around(classes)
    fixed = [*segments(before), *segments(after)]
    base = factor * table.offset_ms + factor * sum(table.segment_ms(segment) for segment in fixed)
    parts = space.monotonic(part_costs(space, lambda part: factor * table.segment_ms(part.nodes), np.float64))
    parts.setflags(write=False)
    return SumTable(base, 0.0, parts)
