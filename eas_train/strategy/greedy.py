"""GreedyNAS (You et al. 2020): of several paths the better ones are trained, and the best are kept and met again."""

from __future__ import annotations

import random
from typing import Any

from eas_sdk.space.architecture import Architecture
from eas_train.strategy.recipe import GreedyRecipe
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Uniform
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase


class Pool:
    """The candidate pool: the paths of lowest loss so far, no more than `size` of them (section 4.1.1)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.loss_of: dict[str, float] = {}

    def add(self, architecture: Architecture, loss: float) -> None:
        """Take a path in, or its newer loss; the one of largest loss goes where there are too many."""
        if self.size == 0:
            return
        self.loss_of[str(architecture)] = loss
        if len(self.loss_of) > self.size:
            del self.loss_of[max(self.loss_of, key=self.loss_of.__getitem__)]

    @property
    def full(self) -> bool:
        return 0 < self.size <= len(self.loss_of)

    def draw(self, rng: random.Random) -> Architecture:
        """One of them, all equally likely."""
        return Architecture.parse(rng.choice(list(self.loss_of)))


def updated(before: set[str], now: set[str]) -> float:
    """Share of a pool that was not in it before: pi of Eq. 10, as its text has it (the formula gives the rest)."""
    return 1 - len(before & now) / len(now)


class Greedy(Uniform):
    """Algorithms 1 and 2: m paths are drawn, evenly or from the pool, and the k of lowest validation loss trained."""

    def __init__(self, recipe: GreedyRecipe, net: Supernet, trial: Trial, total_steps: int, seed: int) -> None:
        super().__init__(net)
        self.recipe, self.trial, self.total_steps, self.seed = recipe, trial, total_steps, seed
        self.pool = Pool(recipe.pool)
        self.waiting: list[Architecture] = []
        self.before: set[str] = set()
        self.checked = 0
        self.steady = False

    def draw(self, phase: Phase, rng: random.Random, step: int) -> Architecture:
        """See `Uniform.draw`."""
        if step < self.recipe.warmup_steps:
            return super().draw(phase, rng, step)
        if not self.waiting:
            self._check(step)
            self.waiting = self.filtered(phase, rng, step)
        return self.waiting.pop(0)

    def filtered(self, phase: Phase, rng: random.Random, step: int) -> list[Architecture]:
        """Algorithm 1: the better paths of those drawn, best first; the pool learns of them."""
        recipe = self.recipe
        searched = (step - recipe.warmup_steps) / (self.total_steps - recipe.warmup_steps)
        share = recipe.pool_probability * searched  # linear from 0
        drawn = [
            self.pool.draw(rng)
            if self.pool.loss_of and rng.random() < share
            else super(Greedy, self).draw(phase, rng, step)
            for _ in range(recipe.sampled)
        ]
        batch = self.trial.batch(recipe.images, self.seed * 1_000_003 + step, phase.image_size)
        losses = self.trial.losses(drawn, batch)
        self.evaluated_images += len(drawn) * len(batch.targets)
        order = sorted(range(len(drawn)), key=losses.__getitem__)[: recipe.kept]
        for i in order:
            self.pool.add(drawn[i], losses[i])
        return [drawn[i] for i in order]

    def _check(self, step: int) -> None:
        """Whether the pool has become steady: few of its paths are new since the last look."""
        window = self.recipe.steady_steps
        if not window or step - self.checked < window:
            return
        now = set(self.pool.loss_of)
        self.steady = self.pool.full and bool(self.before) and updated(self.before, now) <= self.recipe.tolerance
        self.before, self.checked = now, step

    @property
    def finished(self) -> bool:
        """See `Uniform.finished`; the stopping rule of section 4.1.2."""
        return self.steady

    def left(self) -> list[tuple[Architecture, float]]:
        """See `Uniform.left`: the pool, with minus the losses."""
        ranked = sorted(self.pool.loss_of.items(), key=lambda item: item[1])
        return [(Architecture.parse(text), -loss) for text, loss in ranked]

    def state(self) -> dict[str, Any]:
        """See `Uniform.state`."""
        return super().state() | {
            "pool": dict(self.pool.loss_of),
            "waiting": [str(architecture) for architecture in self.waiting],
            "before": sorted(self.before),
            "checked": self.checked,
            "steady": self.steady,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Uniform.restore`."""
        super().restore(state)
        self.pool.loss_of = dict(state["pool"])
        self.waiting = [Architecture.parse(text) for text in state["waiting"]]
        self.before, self.checked, self.steady = set(state["before"]), state["checked"], state["steady"]
