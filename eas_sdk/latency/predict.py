"""A latency table over the choices of a space, for selectors."""

from __future__ import annotations

import functools

import numpy as np

from eas_sdk.latency.segments import segments
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.elastic import ElasticSpace
from eas_sdk.space.structure import structure
from eas_sdk.space.tables import SumTable, block_table


@functools.lru_cache(maxsize=64)
def choice_table(space: ElasticSpace, table: LatencyTable, classes: int, factor: float = 1.0) -> SumTable:
    """Milliseconds, times a factor, of every network of a space with a classifier of so many classes.

    No block counts as faster than one of a smaller kernel or expansion ratio: such measurements are mostly noise, and
    the smallest network is then also the fastest, so that it decides what is feasible. Predictions are therefore never
    below `table.latency_ms`.

    Raises:
        TableError: the table lacks a segment of the space.
    """
    nodes = structure(space, space.smallest, classes)
    fixed = (part for part in segments(nodes) if not part[0].name.startswith("unit"))
    base = factor * table.offset_ms + factor * sum(table.segment_ms(part) for part in fixed)
    block = block_table(space, lambda nodes: factor * table.segment_ms(nodes), np.float64)
    for axis in (1, 2):
        block = np.maximum.accumulate(block, axis)
    block.setflags(write=False)
    return SumTable(base, 0.0, block)
