"""Random members of a space."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given
from hypothesis import strategies as st
from strategies import spaces

from eas_sdk.graph.cost import cost
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.sample import even_architecture, random_architecture
from eas_sdk.space.tables import madds_range, madds_table

SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_draws_are_members_and_equal_for_equal_seeds(seed: int) -> None:
    drawn = [random_architecture(SPACE, random.Random(seed)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    SPACE.validate(drawn[0])


@given(spaces(), SEEDS)
def test_draws_are_members_of_any_space(space: ElasticSpace, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(5):
        space.validate(random_architecture(space, rng))
        if space.largest == dataclasses.replace(space, largest=Architecture(())).largest:
            space.validate(even_architecture(space, rng))


@pytest.mark.parametrize("space", [SPACE, SIZES], ids=["one size", "three"])
def test_draws_cover_all_costs(space: ElasticSpace) -> None:
    rng = random.Random(0)
    low, high = (cost(space.structure(end, 5)).madds for end in (space.smallest, space.largest))
    madds = [cost(space.structure(random_architecture(space, rng), 5)).madds for _ in range(200)]
    parts = [int(9.99 * (m - low) / (high - low)) for m in madds]
    assert min(parts.count(tenth) for tenth in range(10)) >= 5


@pytest.mark.parametrize("name", ["paper", "small", "lite0", "mobilenet-v3-large"])
def test_draws_from_a_published_space_have_all_costs_and_sizes(name: str) -> None:
    space = PRESETS[name]
    low, high = madds_range(space, 60)
    rows = space.members(np.random.default_rng(0).random((400, space.random_numbers)))
    level = (madds_table(space).total(space, rows, 60) - low) / (high - low)
    assert np.histogram(level, 8, (0, 1))[0].min() >= 8
    assert np.bincount(rows[:, -1], minlength=len(space.input_sizes)).min() >= 15


def test_even_draws_take_every_option_as_often() -> None:
    rng = random.Random(0)
    sizes = [even_architecture(SIZES, rng).input_size for _ in range(300)]
    assert min(sizes.count(size) for size in SIZES.input_sizes) > 70
