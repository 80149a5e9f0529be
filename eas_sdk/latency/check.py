"""Comparing a latency table with whole networks."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.errors import TableError
from eas_sdk.graph.nodes import Node
from eas_sdk.latency.meter import Meter
from eas_sdk.latency.segments import random_weights
from eas_sdk.latency.table import LatencyTable, differences
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture


@dataclass(frozen=True)
class Comparison:
    """One network: what the table says and what was measured."""

    architecture: str
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Distance of the prediction from the measurement, as a part of the measurement."""
        return abs(self.predicted_ms / self.measured_ms - 1)


@dataclass(frozen=True)
class Check:
    """Many networks."""

    networks: tuple[Comparison, ...]

    @property
    def median_error(self) -> float:
        """The median of the networks' errors."""
        return statistics.median(network.error for network in self.networks)

    @property
    def p95_error(self) -> float:
        """Their 95th percentile."""
        return float(np.quantile([network.error for network in self.networks], 0.95))

    @property
    def ratio(self) -> float:
        """The median of measured / predicted."""
        return statistics.median(network.measured_ms / network.predicted_ms for network in self.networks)


def random_networks(space: Space, count: int, classes: int, seed: int) -> list[tuple[str, tuple[Node, ...]]]:
    """Architectures, small ones and large ones, and their nodes."""
    rng = random.Random(seed)
    drawn = [random_architecture(space, rng) for _ in range(count)]
    return [(str(architecture), space.structure(architecture, classes)) for architecture in drawn]


def check(
    meter: Meter,
    table: LatencyTable,
    networks: Iterable[tuple[str, Sequence[Node]]],
    advance: Callable[[], None] = lambda: None,
) -> Check:
    """Measure networks, with random weights, and predict them.

    Raises:
        TableError: the table was measured under other conditions, lacks a segment, or says that a network takes no
            time.
        DeviceError: the device failed.
    """
    if differing := differences(table.conditions, meter.conditions):
        raise TableError(f"a latency table is checked under the conditions it was measured under; it has {differing}")
    found = []
    for name, nodes in networks:
        found.append(Comparison(name, table.latency_ms(nodes), meter.measure(random_weights(nodes)).median_ms))
        advance()
    return Check(tuple(found))
