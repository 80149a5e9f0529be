"""Random members of a space."""

from __future__ import annotations

import random

import numpy as np

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space

TRIES = 10_000


def random_architecture(space: Space, rng: random.Random) -> Architecture:
    """One member, drawn so that all costs occur."""
    uniform = np.array([[rng.random() for _ in range(space.random_numbers)]])
    return space.decode(space.members(uniform)[0])


def even_architecture(space: Space, rng: random.Random) -> Architecture:
    """One member, all of whose choices are drawn evenly: rows of choices that are no members are drawn again."""
    for _ in range(TRIES):
        row = np.array([rng.randrange(options) for options in space.options], np.int8)
        if space.allowed(row):
            return space.decode(row)
    raise AssertionError(f"{TRIES} draws without a member of {space}")
