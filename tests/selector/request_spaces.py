"""Requests at random, and the spaces that selectors are tried with."""

from __future__ import annotations

import dataclasses

import numpy as np
from bundles import SIZES, SPACE

from eas_sdk.graph.cost import cost
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import Head, Stem, Unit
from eas_sdk.space.tables import madds_range

NARROW = dataclasses.replace(
    SPACE, largest=Architecture.parse("k3e1 | k5e6 k7e4 k3e3 | k7e6 k3e4 | k5e3 k5e3 k5e3 k5e3 | k7e6 k7e6 | k3e6 k7e3")
)
SIZED = dataclasses.replace(
    SIZES, largest=Architecture.parse("48px k3e1 | k3e6 k3e4 | k5e5 | k3e3 k3e6 k3e4 | k5e6 k5e3")
)
SPACES = {"whole": SPACE, "narrowed": NARROW, "sizes": SIZES, "sizes narrowed": SIZED}

RAGGED = ElasticSpace(
    input_sizes=(24, 32, 40, 48),
    stem=Stem(8, 2, "relu6"),
    units=(
        Unit(8, 1, (1,), (3,), (1,), "relu"),
        Unit(8, 2, (1, 3), (3,), (1.5, 2, 4), "relu"),
        Unit(16, 2, (2,), (1, 3, 5), (3,), "relu", True),
        Unit(16, 1, (1,), (3,), (2,), "relu"),
        Unit(16, 1, (1, 2, 3), (3, 5), (2, 2.25), "hard_swish"),
    ),
    head=Head(32, "relu6"),
)


def madds_of(space: ElasticSpace, architecture: Architecture, classes: int) -> int:
    """Counted on the nodes; ArchitectureError where `architecture` is not a member."""
    return cost(space.structure(architecture, classes)).madds


def random_requests(space: ElasticSpace, count: int, seed: int, superclasses: int = 3) -> list[Request]:
    """Feasible requests: exact ends, in between, and far above."""
    rng = np.random.default_rng(seed)
    requests = []
    for _ in range(count):
        classes = int(rng.integers(1, 12))
        low, high = madds_range(space, classes)
        drawn = int(rng.integers(low, high + 1))
        madds = int(rng.choice([low, low + 1, drawn, drawn, drawn, drawn, high, high + 1, 2**62 - 1]))
        requests.append(Request(((int(rng.integers(superclasses)), 1),), classes, madds))
    return requests
