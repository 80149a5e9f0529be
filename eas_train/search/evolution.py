"""Once-for-all's evolutionary search under a hard budget (Cai et al. 2020), run by pymoo.

The best quarter of the population survives and has children: half of them are mutated copies of one parent, half are
crossed gene by gene from two, and children over the budget are drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.soo.nonconvex.ga import GA, FitnessSurvival
from pymoo.core.infill import InfillCriterion
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from eas_sdk.space.protocol import BoolArray, IntArray, Space
from eas_train.recipe import SearchRecipe

Score = Callable[[IntArray], npt.NDArray[np.float64]]
"""From choices [N, C] to [N]; higher is better."""
Fits = Callable[[IntArray], BoolArray]
"""From choices [N, C] to [N]; true for the smallest member."""

TRIES = 100
"""How often a generation's missing children, or the first population's members, are drawn again."""


def evolve(space: Space, score: Score, fits: Fits, recipe: SearchRecipe, seed: int) -> IntArray:
    """The best choices [C] that were found; those of blocks that are absent mean nothing."""
    rng = np.random.default_rng(seed)
    found = minimize(
        _Best(space, score),
        GA(
            pop_size=max(2, round(recipe.parents * recipe.population)),
            n_offsprings=recipe.population,
            sampling=first_population(space, fits, recipe.population, rng),
            mating=Mating(space, fits, recipe.mutated, recipe.mutation, rng),
            survival=FitnessSurvival(),
            eliminate_duplicates=False,
        ),
        ("n_gen", recipe.generations + 1),  # pymoo counts the first population
        seed=seed,
    )
    best: IntArray = np.asarray(found.X).reshape(-1, np.array(space.options).size)[0].astype(np.int8)
    return best


class _Best(Problem):  # type: ignore[misc]  # pymoo has no types
    """Choices as integer variables, and the score to be maximised."""

    def __init__(self, space: Space, score: Score) -> None:
        options = np.array(space.options)
        super().__init__(n_var=len(options), n_obj=1, xl=0, xu=options - 1, vtype=int)
        self.score = score

    def _evaluate(self, x: npt.NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = -self.score(x.astype(np.int8))[:, None]


Pick = Callable[[Population, tuple[int, int], np.random.Generator], IntArray]
"""From a population to indices of parents, of a shape."""


def evenly(pop: Population, shape: tuple[int, int], rng: np.random.Generator) -> IntArray:
    """Parents that are all equally likely."""
    return rng.integers(len(pop), size=shape)


class Mating(InfillCriterion):  # type: ignore[misc]
    """Children of parents that are drawn from the population; only those within the budget."""

    def __init__(
        self,
        space: Space,
        fits: Fits,
        mutated: float,
        mutation: float,
        rng: np.random.Generator,
        pick: Pick = evenly,
    ) -> None:
        """`mutated` of the children are copies of one parent, whose genes are drawn anew with probability `mutation`;
        `pick` draws parents."""
        super().__init__(n_max_iterations=TRIES)
        self.options, self.fits, self.rng, self.pick = np.array(space.options), fits, rng, pick
        self.mutated, self.mutation = mutated, mutation

    def _do(self, problem: Problem, pop: Population, n_offsprings: int, **kwargs: Any) -> Population:
        rng, parents = self.rng, pop.get("X").astype(np.int8)
        one, other = parents[self.pick(pop, (2, n_offsprings), rng)]
        crossed = np.where(rng.random(one.shape) < 0.5, one, other)
        anew = rng.integers(self.options, size=one.shape, dtype=np.int8)
        changed = np.where(rng.random(one.shape) < self.mutation, anew, one)
        children = np.where(rng.random((n_offsprings, 1)) < self.mutated, changed, crossed)
        return Population.new(X=children[self.fits(children)])


def first_population(space: Space, fits: Fits, count: int, rng: np.random.Generator) -> IntArray:
    """The first population, [count, C]: random members within the budget; the smallest where too few are found."""
    found = [space.encode([space.smallest])[:0]]
    for _ in range(TRIES):
        drawn = space.members(rng.random((count, space.random_numbers)))
        found.append(drawn[fits(drawn)])
        if sum(map(len, found)) >= count:
            break
    rows = np.concatenate(found)[:count]
    return np.concatenate([rows, np.repeat(space.encode([space.smallest]), count - len(rows), 0)])
