"""Cream (Peng et al. 2020): the best paths met so far teach the others; a meta network learns which teaches whom."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture
from eas_sdk.space.tables import madds_range, madds_table
from eas_train.strategy.recipe import CreamRecipe
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Lesson, Moment, Uniform, teacher_logits
from eas_train.supernet.loss import distillation
from eas_train.supernet.model import Supernet

DRAWS = 1000
"""Most random paths that are drawn for one place on a new board."""


@dataclass(frozen=True)
class Entry:
    """A path on a board: its accuracy on validation drawings, and its multiply-adds."""

    architecture: Architecture
    accuracy: float
    madds: int


class Board:
    """The prioritized paths within a range of multiply-adds (section 3.1)."""

    def __init__(self, low: int, high: int, entries: list[Entry]) -> None:
        self.low, self.high, self.entries = low, high, entries

    def offer(self, entry: Entry) -> bool:
        """Eq. 3: the worst path that the new one is no worse than, and no cheaper than, makes room for it."""
        if not self.low <= entry.madds <= self.high:
            return False
        for place, known in enumerate(self.entries):  # a path that is there already gets its newer accuracy
            if known.architecture == entry.architecture:
                self.entries[place] = entry
                return False
        beaten = [e for e in self.entries if entry.accuracy >= e.accuracy and entry.madds <= e.madds]
        if not beaten:
            return False
        self.entries[self.entries.index(min(beaten, key=lambda e: e.accuracy))] = entry
        return True


class MetaNetwork(nn.Module):
    """From the difference of two networks' logits [n, C] to their matching degree rho in (0, 1) (Eq. 4)."""

    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(classes, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, difference: Tensor) -> Tensor:
        degree: Tensor = self.layers(difference).mean().sigmoid()
        return degree


class Cream(Uniform):
    """Algorithm 1; `matching` selects the columns of the paper's table 1."""

    def __init__(self, recipe: CreamRecipe, net: Supernet, trial: Trial, seed: int) -> None:
        super().__init__(net)
        self.recipe, self.trial, self.seed = recipe, trial, seed
        low, high = madds_range(net.space, net.classes)
        rng = random.Random(seed)
        spans = [(int(low + a * (high - low)), int(low + b * (high - low))) for a, b in recipe.ranges]
        self.boards = [
            Board(*span, [self._entry(_within(net.space, net.classes, *span, rng), 0.0) for _ in range(recipe.board)])
            for span in spans
        ]
        device = next(net.parameters()).device
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.meta = MetaNetwork(net.classes, recipe.meta_hidden).to(device)
        self.meta_optimizer = torch.optim.Adam(self.meta.parameters(), lr=recipe.meta_learning_rate)
        self.difference: Tensor | None = None
        self.pull: list[Tensor] = []

    def lesson(self, moment: Moment) -> Lesson | None:
        """See `Uniform.lesson`: phases 1 and 2 of section 3.2."""
        recipe = self.recipe
        self.difference, self.pull = None, []
        if moment.step < recipe.warmup_steps or recipe.matching == "none":
            return None
        if recipe.matching == "fixed":
            return Lesson(self._answer(self.net.space.largest, moment), 1.0)
        candidates = [e.architecture for b in self.boards for e in b.entries if e.architecture != moment.architecture]
        if not candidates:
            return None
        if recipe.matching == "random":
            picked = random.Random(self.seed * 1_000_003 + moment.step).choice(candidates)
            return Lesson(self._answer(picked, moment), 1.0)
        picked, degree = self._match(candidates, moment)
        teacher = self._answer(picked, moment)
        if moment.step % recipe.meta_every == 0:
            self.pull = self._gradients(distillation(moment.logits, teacher, moment.mask), keep=True)
        return Lesson(teacher, degree)

    def _match(self, candidates: list[Architecture], moment: Moment) -> tuple[Architecture, float]:
        """Eq. 4: the candidate of highest matching degree, and that degree."""
        few = self.recipe.match_images
        mine = self._answer(moment.architecture, moment, few)
        differences = [self._answer(candidate, moment, few) - mine for candidate in candidates]
        with torch.no_grad():
            degrees = [float(self.meta(difference)) for difference in differences]
        best = max(range(len(candidates)), key=degrees.__getitem__)
        self.difference = differences[best]
        self.evaluated_images += (len(candidates) + 1) * len(mine)
        return candidates[best], degrees[best]

    def _answer(self, architecture: Architecture, moment: Moment, count: int | None = None) -> Tensor:
        """A network's logits for the first images of the batch, or all."""
        return teacher_logits(self.net, moment.images[:count], architecture, moment.side)

    def after(self, moment: Moment) -> None:
        """See `Uniform.after`: the board learns of the path (Eq. 3); phase 3 of section 3.2."""
        recipe, step, side = self.recipe, moment.step, moment.side
        if step < recipe.warmup_steps:
            return
        if (step - recipe.warmup_steps) % recipe.refresh_every == 0:  # scores of an earlier supernet mean little
            for board in self.boards:
                board.entries = [self._judged(entry.architecture, side) for entry in board.entries]
        judged = self._judged(moment.architecture, side)
        for board in self.boards:
            board.offer(judged)
        if self.pull and self.difference is not None:
            self._learn(moment)

    def _learn(self, moment: Moment) -> None:
        """Eq. 6. The new weights are w - eta (g + rho h), h being the distillation's gradient: linear in rho. So the
        gradient of the validation loss R in rho is -eta <dR/dw, h>, and that in the meta network's weights follows."""
        batch = self.trial.batch(self.recipe.images, self.seed * 7919 + moment.step, moment.side)
        push = self._gradients(self.trial.loss(moment.architecture, batch), keep=False)
        slope = -moment.learning_rate * sum(float((a * b).sum()) for a, b in zip(push, self.pull, strict=True))
        assert self.difference is not None
        self.meta_optimizer.zero_grad(set_to_none=True)
        (slope * self.meta(self.difference)).backward()
        self.meta_optimizer.step()
        self.evaluated_images += len(batch.targets)

    def _gradients(self, loss: Tensor, *, keep: bool) -> list[Tensor]:
        """Of every weight of the supernet; zero where the loss does not depend on it."""
        weights = list(self.net.parameters())
        found = torch.autograd.grad(loss, weights, retain_graph=keep, allow_unused=True)
        return [
            torch.zeros_like(w) if g is None else g  # type: ignore[redundant-expr]  # torch's stubs forget it
            for w, g in zip(weights, found, strict=True)
        ]

    def _judged(self, architecture: Architecture, side: int | None) -> Entry:
        """A path with its accuracy by the supernet as it is."""
        batch = self.trial.batch(self.recipe.images, self.seed, side)  # always the same images, so that entries compare
        self.evaluated_images += len(batch.targets)
        return self._entry(architecture, self.trial.accuracy(architecture, batch))

    def _entry(self, architecture: Architecture, accuracy: float) -> Entry:
        space = self.net.space
        madds = madds_table(space).total(space, space.encode([architecture]), self.net.classes)
        return Entry(architecture, accuracy, int(madds[0]))

    def left(self) -> list[tuple[Architecture, float]]:
        """See `Uniform.left`: the paths on the boards."""
        entries = sorted((e for board in self.boards for e in board.entries), key=lambda e: -e.accuracy)
        return [(entry.architecture, entry.accuracy) for entry in entries]

    def state(self) -> dict[str, Any]:
        """See `Uniform.state`."""
        return super().state() | {
            "boards": [[(str(e.architecture), e.accuracy) for e in board.entries] for board in self.boards],
            "meta": self.meta.state_dict(),
            "meta_optimizer": self.meta_optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Uniform.restore`."""
        super().restore(state)
        for board, entries in zip(self.boards, state["boards"], strict=True):
            board.entries = [self._entry(Architecture.parse(text), accuracy) for text, accuracy in entries]
        self.meta.load_state_dict(state["meta"])
        self.meta_optimizer.load_state_dict(state["meta_optimizer"])


def _within(space: Space, classes: int, low: int, high: int, rng: random.Random) -> Architecture:
    """A random path whose multiply-adds lie in a range; the nearest of many where none is found."""
    best, distance = space.smallest, float("inf")
    for _ in range(DRAWS):
        drawn = random_architecture(space, rng)
        madds = int(madds_table(space).total(space, space.encode([drawn]), classes)[0])
        off = max(low - madds, madds - high, 0)
        if off < distance:
            best, distance = drawn, off
        if off == 0:
            break
    return best
