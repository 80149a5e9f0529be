"""Random members of a space."""

from __future__ import annotations

import random

import numpy as np

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import choices_of_gates, decode, effective_gates, encode, gates_of_choices
from eas_sdk.space.elastic import ElasticSpace


def random_architecture(space: ElasticSpace, rng: random.Random) -> Architecture:
    """A draw that covers all costs: every gate is on with a probability that is itself uniform."""
    p = rng.random()
    available = gates_of_choices(space, encode(space, [space.largest]))[0]
    gates = np.array([rng.random() < p for _ in available], bool) & available
    return decode(space, choices_of_gates(space, effective_gates(space, gates)))
