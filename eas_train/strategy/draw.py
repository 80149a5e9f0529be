"""One sub-network, drawn evenly from what a phase allows."""

from __future__ import annotations

import random

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import even_architecture
from eas_train.recipe import Phase


def draw(space: Space, phase: Phase, rng: random.Random) -> Architecture:
    """Choice by choice. Of elastic spaces a phase may narrow the choices."""
    if not isinstance(space, ElasticSpace):
        return even_architecture(space, rng)
    return Architecture(
        tuple(
            tuple(
                Block(rng.choice(phase.kernels), rng.choice(phase.expansions)) for _ in range(rng.choice(phase.depths))
            )
            for _ in space.stages
        )
    )
