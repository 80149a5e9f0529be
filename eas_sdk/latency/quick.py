"""A latency table within two seconds: a few whole networks are timed, and what a segment takes is worked out.

A network is taken to cost so much a layer, so much a multiply-add of a depthwise convolution, and so much of any other.
"""

from __future__ import annotations

import datetime
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.cost import madds
from eas_sdk.graph.nodes import DepthwiseConv2d, Graph, Node
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.segments import Segment, key, random_weights
from eas_sdk.latency.table import LatencyTable
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture

SECONDS = 1.2
"""No new network is timed after this, unless there are too few."""

LEAST_NETWORKS, MOST_NETWORKS = 4, 24
CLASSES = 64
"""Of the networks that are timed."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Quick:
    """A quick table and how well it fits.

    Attributes:
        networks: how many were timed.
        error: the median over them of how far the table is from what they took, as a part of that.
    """

    table: LatencyTable
    networks: int
    error: float


def quick_table(
    times_ms: Callable[[Graph], Sequence[float]],
    conditions: Conditions,
    space: Space,
    parts: Iterable[Segment],
    seconds: float = SECONDS,
) -> Quick:
    """Time networks of a space, and work out what the segments take.

    Args:
        times_ms: milliseconds of several runs of a network.
        conditions: that it runs them under.
        parts: the segments that the table is to hold.
        seconds: see `SECONDS`.
    """
    costs: list[Floats] = []
    taken: list[Floats] = []
    began = time.perf_counter()
    for nodes in _networks(space):
        if len(taken) >= LEAST_NETWORKS and time.perf_counter() - began > seconds:
            break
        taken.append(np.array(times_ms(random_weights(nodes))))
        costs.append(_costs(nodes))
    rates = _rates(np.array(costs), np.array([runs.min() for runs in taken]))  # what disturbs a run makes it longer
    medians = np.array([np.median(runs) for runs in taken])
    rates *= np.median(medians / (np.array(costs) @ rates))  # but disturbed is how networks run
    error = float(np.median(np.abs(np.array(costs) @ rates / medians - 1)))
    count = sum(len(runs) for runs in taken)
    found = {key(part): float(_costs(part) @ rates) for part in parts}
    timings = {name: Timing(ms, error * ms, count) for name, ms in found.items()}
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return Quick(LatencyTable(conditions, date, timings, quick=True), len(taken), error)


def _networks(space: Space) -> Iterator[tuple[Node, ...]]:
    """The smallest, the largest, and random ones between them."""
    rng = random.Random(0)
    drawn = (random_architecture(space, rng) for _ in range(MOST_NETWORKS - 2))
    for architecture in itertools.chain((space.smallest, space.largest), drawn):
        yield space.structure(architecture, CLASSES)


def _costs(nodes: Sequence[Node]) -> Floats:
    """Layers, multiply-adds of depthwise convolutions, multiply-adds of other layers."""
    depthwise = sum(madds(node) for node in nodes if isinstance(node, DepthwiseConv2d))
    return np.array([len(nodes), depthwise, sum(map(madds, nodes)) - depthwise], np.float64)


def _rates(costs: Floats, ms: Floats) -> Floats:
    """Milliseconds of one of each cost, of least relative error among those that are not below zero.

    What the best answer has of some costs is what it has of them without the others, so all choices are tried.
    """
    best, least = np.zeros(costs.shape[1]), np.inf
    for count in range(1, costs.shape[1] + 1):
        for columns in itertools.combinations(range(costs.shape[1]), count):
            terms = costs[:, columns] / ms[:, None]
            rates, *_ = np.linalg.lstsq(terms, np.ones_like(ms), rcond=None)
            error = float(((terms @ rates - 1) ** 2).sum())
            if (rates >= 0).all() and error < least:
                best = np.zeros(costs.shape[1])
                best[list(columns)], least = rates, error
    return best
