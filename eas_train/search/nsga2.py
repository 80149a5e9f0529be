"""NSGA-II with the supernet as the judge, under a hard budget (GreedyNAS, section 4.2), run by pymoo.

Two things are to be small, the error on validation drawings and the multiply-adds; what exceeds the budget is ditched.
The first population comes from the candidate pool where there is one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.table import read
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import BoolArray, IntArray, Space
from eas_sdk.space.tables import CostTable, madds_table
from eas_train.clock import clock
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.progress import progress
from eas_train.recipe import Nsga2Recipe
from eas_train.search.board import as_menu
from eas_train.search.evolution import Fits, Mating, first_population
from eas_train.selection import Given, Selection
from eas_train.supernet.evaluate import logits_of, within_superclass

JUDGED = "judged.json"
SAVE_EVERY_S = 20.0

Judge = Callable[[Architecture], float]
"""From an architecture to its accuracy."""


def select(given: Given) -> Selection:
    """Search once for every budget, and leave all fronts as one menu.

    Accuracies are kept one by one: a search that was stopped does not judge a network twice.

    Raises:
        TrainingError: what was kept belongs to another training; a latency table lacks a block.
    """
    recipe, space = given.recipe.nsga2, given.net.space
    classes = max(given.classes)
    table = cost_table(space, recipe, classes)
    low, high = _ends(space, table, classes)
    supernet = Judged(given)
    now = clock(next(given.net.parameters()).device)
    began, found = now(), set()
    pool = given.trained.left if recipe.from_pool else ()
    count = len(recipe.madds or recipe.budgets)
    with progress("search", count) as update:
        for i, budget in enumerate(recipe.madds or recipe.budgets):
            most = budget if recipe.madds else low + budget * (high - low)

            def fits(choices: IntArray, most: float = most) -> BoolArray:
                return np.asarray(space.allowed(choices) & (table.total(space, choices, classes) <= most))

            found.update(front(space, supernet, fits, pool, recipe, seed=recipe.seed * 1_000_003 + i))
            update(i + 1, f"{len(supernet.known)} networks judged")
    supernet.save()
    figures: dict[str, float] = {"searches": count, "judged": len(supernet.known)}
    made = as_menu(given, sorted(found), recipe, figures)
    return Selection(made.config, made.tensors, made.figures, supernet.seconds + now() - began)


def cost_table(space: Space, recipe: Nsga2Recipe, classes: int) -> CostTable:
    """What budgets bound."""
    return (
        madds_table(space) if recipe.latency_table is None else choice_table(space, read(recipe.latency_table), classes)
    )


def front(
    space: Space, judge: Judge, fits: Fits, pool: Sequence[Architecture], recipe: Nsga2Recipe, seed: int
) -> list[Architecture]:
    """The members that no other one of the last population beats in accuracy and multiply-adds.

    Args:
        fits: whether rows of choices are members within the budget.
        pool: what the first population is made of, best first; the rest is random.
    """
    rng = np.random.default_rng(seed)
    known = space.encode(list(pool))
    known = known[fits(known)][: recipe.population] if len(known) else known
    missing = recipe.population - len(known)
    start = np.concatenate([known, first_population(space, fits, missing, rng)]) if missing else known
    found = minimize(
        _Both(space, judge),
        NSGA2(
            pop_size=recipe.population,
            sampling=start,
            mating=Mating(space, fits, recipe.mutated, recipe.mutation, rng, tournament),
            eliminate_duplicates=False,
        ),
        ("n_gen", recipe.generations),
        seed=seed,
    )
    rows = np.asarray(found.X).reshape(-1, len(space.options)).astype(np.int8)
    return list(dict.fromkeys(space.decode(row) for row in rows))


def tournament(pop: Population, shape: tuple[int, int], rng: np.random.Generator) -> IntArray:
    """Of two members each, the one of the better front, or, in one front, the one in the emptier place (Deb 2002)."""
    pairs = rng.integers(len(pop), size=(*shape, 2))
    rank, crowding = (np.asarray(pop.get(name), np.float64) for name in ("rank", "crowding"))
    first, second = pairs[..., 0], pairs[..., 1]
    better = (rank[second] < rank[first]) | ((rank[second] == rank[first]) & (crowding[second] > crowding[first]))
    return np.where(better, second, first)


class _Both(Problem):  # type: ignore[misc]  # pymoo has no types
    """Choices as integer variables; error and multiply-adds."""

    def __init__(self, space: Space, judge: Judge) -> None:
        super().__init__(n_var=len(space.options), n_obj=2, xl=0, xu=np.array(space.options) - 1, vtype=int)
        self.space, self.judge = space, judge

    def _evaluate(self, x: npt.NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        rows = x.astype(np.int8)
        errors = [1 - self.judge(self.space.decode(row)) for row in rows]
        out["F"] = np.stack([errors, madds_table(self.space).total(self.space, rows, 1)], 1)


class Judged:
    """The supernet as a judge: top-1 within the superclass, on validation drawings, as the device runs networks.

    Attributes:
        known: architecture, as text -> accuracy.
        seconds: that judging took in earlier runs; judging: in this one.
    """

    def __init__(self, given: Given) -> None:
        self.given = given
        self.path: Path = given.folder / JUDGED
        device = next(given.net.parameters()).device
        data = given.validation
        self.images, self.targets = fixed_views(data, 1, given.net.space.input_sizes[-1], device)
        self.superclass_of = torch.from_numpy(superclass_of_class(data.superclasses)).to(device)
        self.known: dict[str, float] = {}
        self.seconds, self.judging = 0.0, 0.0
        self.now, self.saved = clock(device), time.monotonic()
        if self.path.exists():
            self._restore()

    def __call__(self, architecture: Architecture) -> float:
        text = str(architecture)
        if text not in self.known:
            began, given = self.now(), self.given
            logits = logits_of(given.net, architecture, self.images, given.statistics.norm(architecture))
            right = within_superclass(logits, self.targets, self.superclass_of)
            self.known[text] = float(right.float().mean())
            self.judging += self.now() - began
            if time.monotonic() - self.saved >= SAVE_EVERY_S:
                self.save()
        return self.known[text]

    def save(self) -> None:
        """Keep what is known."""
        state = {
            "fingerprint": self.given.fingerprint,
            "seconds": self.seconds + self.judging,
            "accuracy": self.known,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, [json.dumps(state).encode()])
        self.saved = time.monotonic()

    def _restore(self) -> None:
        try:
            data = json.loads(self.path.read_bytes())
            owner, self.known, self.seconds = data["fingerprint"], dict(data["accuracy"]), float(data["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{self.path} is damaged ({error!r}); delete it to search afresh") from error
        if owner != self.given.fingerprint:
            raise TrainingError(f"{self.path} belongs to another training; delete it to search afresh")


def _ends(space: Space, table: CostTable, classes: int) -> tuple[float, float]:
    low, high = table.total(space, space.encode([space.smallest, space.largest]), classes).tolist()
    return low, high
