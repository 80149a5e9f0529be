"""R(alpha), the cost that the generator learns to keep to (EAS, Eq. 3): multiply-adds, or the latency of a device."""

from __future__ import annotations

import numpy as np

from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import SumTable, madds_range, madds_table


def cost_table(space: ElasticSpace, classes: int, latency: LatencyTable | None) -> SumTable:
    """The cost of every member, on the scale of multiply-adds.

    Latencies are stretched so that the smallest and the largest network get their multiply-adds: budgets, embeddings
    and the weight of the cost term then mean the same for both.

    Raises:
        TableError: the latency table lacks a segment of the space.
    """
    if latency is None:
        return madds_table(space)
    table = choice_table(space, latency, classes)
    ends = space.encode([space.smallest, space.largest])
    fastest, slowest = table.total(space, ends, classes).tolist()
    low, high = madds_range(space, classes)
    factor = (high - low) / (slowest - fastest)
    return SumTable(low + factor * (table.base - fastest), 0.0, np.asarray(factor * table.parts))
