"""The Pareto front of a trained supernet (section 3.3.2): networks are sampled by fitness and judged, the best kept."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Architecture
from eas_train.nse.fitness import Fitness
from eas_train.progress import progress
from eas_train.strategy.recipe import NseRecipe
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass

SAVE_EVERY_S = 20.0
TRIES = 200
"""Draws for each network that is asked for."""


@dataclass(frozen=True)
class Judged:
    """A network: what it costs, in millions of multiply-adds or in ms, and its accuracy on validation drawings."""

    architecture: Architecture
    cost: float
    accuracy: float


def pareto(judged: Sequence[Judged]) -> list[Judged]:
    """Those that no other beats in accuracy without costing more, by ascending cost."""
    best: list[Judged] = []
    for one in sorted(judged, key=lambda j: (j.cost, -j.accuracy)):
        if not best or one.accuracy > best[-1].accuracy:
            best.append(one)
    return best


def retrieve(
    fitness: Fitness,
    recipe: NseRecipe,
    rehearsed: Sequence[Architecture],
    images: Tensor,
    cache: Path,
    fingerprint: str,
) -> tuple[list[Judged], list[Judged]]:
    """The front within the target's band, and all that was judged for it.

    Args:
        rehearsed: the last round's front, which is judged again.
        images: training images, on which the batch-norm of every network is recalibrated.
        cache: keeps what was judged when the process is stopped.

    Raises:
        TrainingError: no network lies in the band; the cache is damaged or belongs to another training.
    """
    rng = random.Random(fitness.seed)
    low, high = recipe.target - recipe.drift, recipe.target + recipe.drift
    wanted = [(recipe.samples, low, high), (recipe.edge_samples, low - 2 * recipe.drift, low)]
    drawn = list(rehearsed)
    for count, least, most in wanted:
        drawn += sample(fitness, count, least, most, rng)
    drawn = list(dict.fromkeys(drawn))
    costs = fitness.demand.total(fitness.space, drawn, fitness.net.classes)
    if not ((costs >= low) & (costs <= high)).any():
        raise TrainingError(
            f"none of {recipe.samples * TRIES} networks costs {low:g} to {high:g}, the target and its drift; "
            f"this round's cost {np.min(costs, initial=np.inf):g} to {np.max(costs, initial=-np.inf):g}: change target "
            "or drift"
        )
    judged = _judge(fitness, drawn, costs, images, cache, fingerprint)
    inside = [one for one in judged if low <= one.cost <= high]
    # Where all of them are beaten from below, as by a supernet that has learned nothing, they are still what there is.
    front = [one for one in pareto(judged) if low <= one.cost <= high] or pareto(inside)
    return front, judged


def sample(fitness: Fitness, count: int, least: float, most: float, rng: random.Random) -> list[Architecture]:
    """Different networks within a range of costs, by the indicators' probabilities; fewer where they are rare."""
    found: dict[Architecture, None] = {}
    p = fitness.probabilities
    for _ in range(TRIES):
        drawn = [fitness.sampled(p, rng) for _ in range(count)]
        costs = fitness.demand.total(fitness.space, drawn, fitness.net.classes) if drawn else np.zeros(0)
        found |= {a: None for a, cost in zip(drawn, costs.tolist(), strict=True) if least <= cost <= most}
        if len(found) >= count:
            break
    return list(found)[:count]


def _judge(
    fitness: Fitness,
    drawn: Sequence[Architecture],
    costs: npt.NDArray[np.float64],
    images: Tensor,
    cache: Path,
    fingerprint: str,
) -> list[Judged]:
    known = _read(cache, fingerprint) if cache.exists() else {}
    trial, saved = fitness.trial, time.monotonic()

    def save() -> None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, [json.dumps({"fingerprint": fingerprint, "accuracy": known}).encode()])

    with progress("judging networks", len(drawn)) as update:
        for i, architecture in enumerate(drawn):
            if str(architecture) not in known:
                norm = recalibrated(fitness.net, architecture, images)
                logits = logits_of(fitness.net, architecture, trial.images, norm)
                right = within_superclass(logits, trial.targets, trial.superclass_of)
                known[str(architecture)] = round(float(right.float().mean()), 6)
                fitness.evaluated_images += len(images) + len(trial.targets)
            if time.monotonic() - saved >= SAVE_EVERY_S:
                save()
                saved = time.monotonic()
            update(i + 1, "")
    save()
    return [Judged(a, float(cost), known[str(a)]) for a, cost in zip(drawn, costs, strict=True)]


def _read(cache: Path, fingerprint: str) -> dict[str, float]:
    try:
        data = json.loads(cache.read_bytes())
        owner, accuracy = data["fingerprint"], dict(data["accuracy"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{cache} is damaged ({error!r}); delete it to judge afresh") from error
    if owner != fingerprint:
        raise TrainingError(f"{cache} belongs to another training; delete it to judge afresh")
    return accuracy
