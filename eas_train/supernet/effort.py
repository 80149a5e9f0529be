"""What the steps of a training take, in multiply-adds."""

from __future__ import annotations

import random
from collections.abc import Callable

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space, size_of
from eas_sdk.space.tables import madds_table
from eas_train.strategy.draw import draw
from eas_train.supernet.recipe import Phase, SupernetRecipe

DRAWN = 64
"""Networks whose mean stands for those of a phase."""
BACKWARD = 3
"""Forward and backward, in forwards."""


def step_madds(space: Space, phase: Phase, recipe: SupernetRecipe, classes: int) -> float:
    """Multiply-adds of one step of a phase, as a mean over the networks that it may draw."""
    rng, most = random.Random(0), space.largest
    table = madds_table(space)

    def madds(*members: Architecture) -> float:
        return float(table.total(space, space.encode(members), classes).mean())

    fixed = [most] if phase.largest_only else [most, space.smallest] if phase.sandwich else []
    free = 0 if phase.largest_only else phase.networks - len(fixed)
    mean = madds(*(draw(space, phase, rng) for _ in range(DRAWN))) if free else 0.0
    trained = sum(madds(member) for member in fixed) + free * mean
    taught = madds(most) if phase.teacher == "frozen" else 0.0
    area = (phase.image_size / size_of(space, most)) ** 2 if phase.image_size else 1.0
    return recipe.batch_size * area * (BACKWARD * trained + taught)


def effort_of(space: Space, recipe: SupernetRecipe, classes: int) -> Callable[[int], float]:
    """What the first so many steps of a training take, in multiply-adds."""
    costs = [step_madds(space, phase, recipe, classes) for phase in recipe.phases]

    def effort(done: int) -> float:
        total = 0.0
        for phase, cost in zip(recipe.phases, costs, strict=True):
            total += cost * min(done, phase.steps)
            done = max(0, done - phase.steps)
        return total

    return effort
