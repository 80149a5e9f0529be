"""How well a supernet ranks networks: against the accuracies of the same networks trained alone (Cream, table 1)."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import kendalltau, spearmanr

from eas_sdk.space import registry as spaces
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture
from eas_train import checkpoint
from eas_train.data.feed import random_images
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images, Splits
from eas_train.pipeline import Training
from eas_train.progress import progress
from eas_train.strategy.uniform import Uniform
from eas_train.study.config import Quality
from eas_train.study.records import keep, kept
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass
from eas_train.supernet.identity import CHECKPOINT
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase, SupernetRecipe, grouping
from eas_train.supernet.train import train_over

Array = npt.NDArray[np.float64]

ALONE, SHARED = "alone", "shared"
DRAWS = 2000


@dataclass(frozen=True)
class Shared:
    """Random networks of a supernet and their accuracies on test drawings with its weights.

    Attributes:
        space: as JSON; supernet_seconds: of the supernet's training.
    """

    space: dict[str, Any]
    architectures: list[str]
    accuracies: list[float]
    supernet_seconds: float


@dataclass(frozen=True)
class Alone:
    """Accuracy on test drawings of one network that was trained alone, and the seconds that its training took."""

    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Ranked:
    """Accuracies of the same networks with a supernet's weights and with weights of their own.

    Attributes:
        shared: [N]; alone: [trainings][N]; seconds: of training them all alone.
    """

    shared: list[float]
    alone: list[list[float]]
    seconds: float
    supernet_seconds: float


class Only(Uniform):
    """Trains one architecture and no other."""

    def __init__(self, net: Supernet, architecture: Architecture) -> None:
        super().__init__(net)
        self.architecture = architecture

    def draw(self, phase: Phase, rng: random.Random, step: int) -> Architecture:
        """See `Uniform.draw`."""
        return self.architecture


def rank(training: Training, quality: Quality, views: int, folder: Path) -> Ranked:
    """Accuracies of random networks of a training's space, both ways. Those trained alone serve all its trainings.

    Args:
        views: fixed views of each test drawing.
        folder: keeps what was trained; a run that was stopped goes on.

    Raises:
        TrainingError: the supernet's training is not finished, or a kept result is damaged.
    """
    found = with_supernet(training, quality, views, folder)
    space, data, supernet = spaces.from_json(found.space), training.data, training.recipe.supernet
    shown = shown_to(training, quality, views, space, quality.image_size)
    alone: list[list[float]] = [[] for _ in range(quality.trainings)]
    seconds = 0.0
    with progress("networks trained alone", len(found.architectures)) as update:
        for i, text in enumerate(found.architectures):
            for seed, accuracies in enumerate(alone, quality.seed):
                one = train_alone(space, Architecture.parse(text), supernet, quality, seed, data, shown, folder)
                accuracies.append(one.accuracy)
                seconds += one.seconds
            update(i + 1, "")
    return Ranked(found.accuracies, alone, seconds, found.supernet_seconds)


def with_supernet(training: Training, quality: Quality, views: int, folder: Path) -> Shared:
    """Random networks of a training's space, judged with its supernet's weights."""
    drawing = (quality.networks, quality.seed, quality.recalibration_images)
    facts = (training.fingerprints["supernet"], training.data.test.digest, views, *drawing)
    path = folder / SHARED / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
    if (found := kept(Shared, path)) is not None:
        return found
    net, rng = training.net, random.Random(quality.seed)
    drawn = [random_architecture(net.space, rng) for _ in range(quality.networks)]
    shown = shown_to(training, quality, views, net.space)
    accuracies = []
    with progress("networks of the supernet", len(drawn)) as update:
        for i, architecture in enumerate(drawn):
            accuracies.append(shown.accuracy(net, architecture))
            update(i + 1, "")
    made = Shared(dict(net.space.to_json()), list(map(str, drawn)), accuracies, training.supernet_seconds)
    keep(made, path)
    return made


def shown_to(training: Training, quality: Quality, views: int, space: Space, side: int | None = None) -> Shown:
    """What networks of a training are judged on.

    Args:
        side: of the images that all of them take, where not their own.
    """
    strengths, data = training.recipe.supernet.augmentation, training.data
    size = side or space.input_sizes[-1]
    images = random_images(data.train, quality.recalibration_images, size, strengths, training.device, quality.seed)
    return Shown(data.test, views, images, side)


class Shown:
    """Test drawings that networks are judged on, and training images of their size to recalibrate batch-norm on."""

    def __init__(self, data: Images, views: int, calibration: torch.Tensor, side: int | None = None) -> None:
        device, size = calibration.device, calibration.shape[-1]
        self.images, self.targets = fixed_views(data, views, size, device)
        self.calibration, self.side = calibration, side
        self.superclass_of = torch.from_numpy(superclass_of_class(data.superclasses)).to(device)
        self.digest = f"{data.digest} {views} {size} {len(calibration)}"

    def accuracy(self, net: Supernet, architecture: Architecture) -> float:
        """Top-1 within the superclass."""
        net.eval()
        norm = recalibrated(net, architecture, self.calibration, side=self.side)
        logits = logits_of(net, architecture, self.images, norm, side=self.side)
        return float(within_superclass(logits, self.targets, self.superclass_of).float().mean())


def train_alone(
    space: Space,
    architecture: Architecture,
    supernet: SupernetRecipe,
    quality: Quality,
    seed: int,
    data: Splits[Images],
    shown: Shown,
    folder: Path,
) -> Alone:
    """An architecture that is trained from scratch, or was before."""
    own = space.narrowed([architecture])
    phase = Phase(
        name="alone",
        steps=quality.steps,
        learning_rate=quality.learning_rate,
        image_size=quality.image_size,
        superclass_dropout=quality.superclass_dropout,
    )
    recipe = supernet.model_copy(update={"phases": (phase,), "seed": seed})
    text = [recipe.model_dump_json(exclude={"strategy", "preset", "checkpoint_every_s"}), json.dumps(own.to_json())]
    facts: list[object] = [*text, str(architecture), data.train.digest, shown.digest]
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    if not (folder / ALONE / fingerprint[:16]).exists():  # superclasses did not count at first
        fingerprint = hashlib.sha256(json.dumps([*facts, grouping(data.train)]).encode()).hexdigest()
    place = folder / ALONE / fingerprint[:16]
    result = place / "accuracy.json"
    if (found := kept(Alone, result)) is not None:
        return found
    device = shown.images.device
    net, _ = train_over(own, recipe, data.train, place, device, lambda net: Only(net, architecture), fingerprint)
    state = checkpoint.load(place / CHECKPOINT, recipe=fingerprint)
    assert state is not None
    made = Alone(shown.accuracy(net, architecture), state["seconds"])
    keep(made, result)
    (place / CHECKPOINT).unlink()  # weights that nothing reads again
    return made


def correlations(ranked: Sequence[Ranked], seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """Mean Kendall tau and Spearman rho over supernets, with 95% bootstrap intervals over networks and supernets.

    Supernets of a space are judged on the same networks, so that a draw takes the same networks of each.
    """
    rng, networks = np.random.default_rng(seed), min(len(one.shared) for one in ranked)
    made = {}
    for name, measure in (("kendall", kendalltau), ("spearman", spearmanr)):
        drawn = []
        for _ in range(DRAWS):
            index = rng.integers(networks, size=networks)
            values = [
                _correlation(measure, np.array(one.shared)[index], np.mean(one.alone, 0)[index])
                for one in (ranked[i] for i in rng.integers(len(ranked), size=len(ranked)))
            ]
            drawn.append(np.mean(values))
        mean = np.mean([_correlation(measure, np.array(r.shared), np.mean(r.alone, 0)) for r in ranked])
        low, high = np.percentile(drawn, [2.5, 97.5])
        made[name] = (round(float(mean), 4), round(float(low), 4), round(float(high), 4))
    return made


def repeated(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Each training alone against each other one: how far accuracies that are so measured agree with themselves."""
    return [replace(one, shared=a, alone=[b]) for one in ranked for a, b in combinations(one.alone, 2)]


def _correlation(measure: Callable[..., Any], one: Array, other: Array) -> float:
    """A rank correlation; 0 where all ranks are equal, which tells nothing."""
    return 0.0 if np.ptp(one) == 0 or np.ptp(other) == 0 else float(measure(one, other).statistic)
