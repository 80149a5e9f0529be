"""One sub-network, drawn evenly from what a phase allows."""

from __future__ import annotations

import random

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import even_architecture
from eas_train.supernet.recipe import Phase


def draw(space: Space, phase: Phase, rng: random.Random) -> Architecture:
    """Choice by choice. Of elastic spaces a phase may narrow the choices (see `Phase.options`)."""
    if not isinstance(space, ElasticSpace):
        return even_architecture(space, rng)
    most_px = space.largest.input_size
    size = None if most_px is None else _size(space, phase, rng, most_px)
    units = []
    for unit, most in zip(space.units, space.largest.units, strict=True):
        if phase.whole and rng.random() < phase.whole:
            units.append(most)
            continue
        depth = rng.choice(phase.options("depths", unit.depths, len(most)))
        units.append(
            tuple(
                Block(
                    rng.choice(phase.options("kernels", unit.kernels, block.kernel)),
                    rng.choice(phase.options("expansions", unit.expansions, block.expansion)),
                )
                for block in most[:depth]
            )
        )
    return Architecture(tuple(units), size)


def _size(space: ElasticSpace, phase: Phase, rng: random.Random, most_px: int) -> int:
    sizes = phase.options("input_sizes", space.input_sizes, most_px)
    if not phase.size_power:
        return rng.choice(sizes)
    return rng.choices(sizes, [size ** (-2 * phase.size_power) for size in sizes])[0]
