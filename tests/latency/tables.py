"""Latency tables without a device: a meter that computes instead of measuring, and tables of random numbers."""

from __future__ import annotations

import random

from eas_sdk.errors import DeviceError
from eas_sdk.graph.cost import madds
from eas_sdk.graph.nodes import Graph, Node
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.segments import key
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.protocol import Space

CONDITIONS = Conditions("A machine", "A processor", "numpy", 1, "float32", "numpy 2.0")

RUN_MS = 0.25


def node_ms(node: Node) -> float:
    """What `SumMeter` takes for a node."""
    return 0.01 + 3e-6 * madds(node)


class SumMeter:
    """A device on which a network takes `RUN_MS` and what its nodes take.

    Args:
        slow_down: how much longer whole networks take.
        fails_at: the measurement at which the device is gone.

    Attributes:
        seen: the nodes of all networks that were measured.
    """

    def __init__(
        self, conditions: Conditions = CONDITIONS, *, slow_down: float = 1.0, fails_at: int | None = None
    ) -> None:
        self.conditions = conditions
        self.seen: list[tuple[Node, ...]] = []
        self._slow_down, self._fails_at = slow_down, fails_at

    def measure(self, graph: Graph, *, part: bool = False) -> Timing:
        if len(self.seen) == self._fails_at:
            raise DeviceError("the device is gone")
        self.seen.append(graph.nodes)
        return Timing((1.0 if part else self._slow_down) * network_ms(graph.nodes), 0.001, 20)


def network_ms(nodes: tuple[Node, ...]) -> float:
    """What `SumMeter` takes for a network."""
    return RUN_MS + sum(node_ms(node) for node in nodes)


def random_table(
    space: Space, seed: int, conditions: Conditions = CONDITIONS, scale: float = 1.0, offset_ms: float = 0.0
) -> LatencyTable:
    """Every segment takes 0.01 to 1 ms at random: larger blocks are as likely as not the faster ones."""
    rng = random.Random(seed)
    keys = [key(part) for part in space_segments(space, (2, 8, 64))]
    timings = {name: Timing(10 ** rng.uniform(-2, 0), 0.001, 20) for name in keys}
    return LatencyTable(conditions, "2026-01-31", timings, scale, offset_ms)
