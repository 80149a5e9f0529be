"""Random members of a space, drawn so that all costs occur: gates are on with a probability that is itself drawn."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import (
    GateLayout,
    IntArray,
    choices_of_gates,
    decode,
    effective_gates,
    encode,
    gates_of_choices,
)
from eas_sdk.space.elastic import ElasticSpace


def random_architecture(space: ElasticSpace, rng: random.Random) -> Architecture:
    """One member."""
    uniform = np.array([[rng.random() for _ in range(GateLayout.of(space).gates + 1)]])
    return decode(space, random_choices(space, uniform)[0])


def random_choices(space: ElasticSpace, uniform: npt.NDArray[np.float64]) -> IntArray:
    """Choices [N, U + 2S] of N members from uniform random numbers [N, 1 + gates]: probabilities, then gates."""
    available = gates_of_choices(space, encode(space, [space.largest]))[0]
    return choices_of_gates(space, effective_gates(space, (uniform[:, 1:] < uniform[:, :1]) & available))
