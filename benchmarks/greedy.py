"""GreedyNAS's filter: how many of the paths that it accepts are truly among the better ones, against its Theorem 1.

    eas study strategies-ablations --out studies/strategies
    python -m benchmarks.greedy studies/strategies

Paths are drawn in groups of m and the k of lowest loss on the surrogate batch are accepted, as in the training, with
the supernets of the study when their training was over; one was trained with a pool and one without. What a path is
worth is its loss on all validation drawings, with batch-norm recalibrated. The good ones are the better share q of
evenly drawn paths. Theorem 1 says how likely k of m even draws are good; a filter that ranks perfectly then accepts
good paths only, and one that ranks by chance accepts a share q.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom, spearmanr

from benchmarks.record import record
from benchmarks.trainings import training_of
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.sample import random_architecture
from eas_train.pipeline import Training
from eas_train.progress import progress
from eas_train.recipe import Recipe
from eas_train.strategy.recipe import GreedyRecipe
from eas_train.strategy.trial import Trial
from eas_train.study.config import Study
from eas_train.supernet.evaluate import logits_of, recalibrated
from eas_train.supernet.loss import cross_entropy

METHODS = ("GreedyNAS", "GreedyNAS, no pool")
RECALIBRATION_IMAGES = 512
RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of m paths.

    Attributes:
        surrogate, full: [groups, m], losses on the surrogate batch and on all validation drawings.
    """

    surrogate: npt.NDArray[np.float64]
    full: npt.NDArray[np.float64]


class Judge:
    """Losses of a supernet's paths; each path is judged once."""

    def __init__(self, training: Training) -> None:
        self.net = training.net.eval()
        self.trial = Trial(self.net, training.data.validation, training.device)
        self.images = training.training_images(RECALIBRATION_IMAGES)(0)
        self.known: dict[Architecture, float] = {}

    @torch.no_grad()
    def full(self, architecture: Architecture) -> float:
        """Loss on all validation drawings, with recalibrated statistics."""
        if architecture not in self.known:
            whole = self.trial.batch(len(self.trial.targets), 0)
            norm = recalibrated(self.net, architecture, self.images)
            logits = logits_of(self.net, architecture, whole.images, norm)
            self.known[architecture] = float(cross_entropy(logits, whole.targets, whole.mask))
        return self.known[architecture]

    def groups(self, recipe: GreedyRecipe, count: int, pool: list[Architecture], share: float) -> Groups:
        """Groups of paths, a share of them from the pool."""
        rng = random.Random(0)
        surrogate, full = [], []
        with progress("groups of paths", count) as update:
            for i in range(count):
                drawn = [
                    rng.choice(pool) if pool and rng.random() < share else random_architecture(self.net.space, rng)
                    for _ in range(recipe.sampled)
                ]
                surrogate.append(self.trial.losses(drawn, self.trial.batch(recipe.images, i)))
                full.append([self.full(architecture) for architecture in drawn])
                update(i + 1, "")
        return Groups(np.array(surrogate), np.array(full))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `eas study strategies-ablations`")
    parser.add_argument("--groups", type=int, default=30, help="of each supernet and way of drawing")
    parser.add_argument("--good", type=float, default=0.6, help="q, the share of paths that count as good")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Study.read("strategies-ablations")
    methods = {method.name: method for method in plan.methods}
    found: dict[str, list[Groups]] = {}
    thresholds: dict[str, list[float]] = {}
    for seed in plan.supernet_seeds:
        for name in METHODS:
            training = training_of(plan, name, seed, options.folder)
            settings = greedy_recipe(training.recipe)
            judge = Judge(training)
            even = judge.groups(settings, options.groups, [], 0)
            threshold = float(np.quantile(even.full, options.good))
            ways = {f"{name}, even draws": even}
            if pool := list(training.trained.left):
                share = settings.pool_probability
                ways[f"{name}, {share:.0%} from the pool"] = judge.groups(settings, options.groups, pool, share)
            for way, groups in ways.items():
                found.setdefault(way, []).append(groups)
                thresholds.setdefault(way, []).append(threshold)
    settings = greedy_recipe(plan.training_recipe(methods[METHODS[0]], 0, 0))
    m, k = settings.sampled, settings.kept
    rows = {way: figures(groups, thresholds[way], k) for way, groups in found.items()}
    theorem = {"at_least_k_good": round(float(binom.sf(k - 1, m, options.good)), 4), "m": m, "k": k, "q": options.good}
    facts = {"groups": options.groups, "supernets": len(plan.supernet_seeds), "surrogate_images": settings.images}
    columns = "mean, low and high end of the 95% interval over groups and supernets"
    record("greedy", {"theorem": theorem, **facts, "columns": columns, "ways": rows})


def greedy_recipe(recipe: Recipe) -> GreedyRecipe:
    """The settings of the strategy."""
    settings = recipe.supernet.strategy
    assert isinstance(settings, GreedyRecipe)
    return settings


def figures(groups: list[Groups], thresholds: list[float], kept: int) -> dict[str, Any]:
    """Shares with intervals over groups and supernets."""
    measures: dict[str, list[npt.NDArray[np.float64]]] = {}
    for each, threshold in zip(groups, thresholds, strict=True):
        good = each.full <= threshold
        accepted = np.argsort(each.surrogate, axis=1, kind="stable")[:, :kept]
        taken = np.take_along_axis(good, accepted, 1)
        ranks = [spearmanr(a, b).statistic for a, b in zip(each.surrogate, each.full, strict=True)]
        values = {
            "accepted_good": taken.mean(1),
            "drawn_good": good.mean(1),
            "perfect_filter_good": np.minimum(good.sum(1), kept) / kept,
            "at_least_k_good": good.sum(1) >= kept,
            "all_accepted_good": taken.all(1),
            "rank_correlation": np.nan_to_num(np.array(ranks)),
        }
        for name, value in values.items():
            measures.setdefault(name, []).append(np.asarray(value, np.float64))
    return {name: _interval(values) for name, values in measures.items()}


def _interval(values: list[npt.NDArray[np.float64]]) -> list[float]:
    rng = np.random.default_rng(0)
    drawn = [
        np.mean([rng.choice(values[i], len(values[i])).mean() for i in rng.integers(len(values), size=len(values))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [round(float(v), 4) for v in (np.mean([v.mean() for v in values]), low, high)]


if __name__ == "__main__":
    main()
