"""Random members of a space."""

from __future__ import annotations

import random

import numpy as np

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space


def random_architecture(space: Space, rng: random.Random) -> Architecture:
    """One member, drawn so that all costs occur."""
    uniform = np.array([[rng.random() for _ in range(space.random_numbers)]])
    return space.decode(space.members(uniform)[0])
