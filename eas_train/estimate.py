"""How long a training will take, and how much room: by two measured steps of every phase."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from eas_sdk.errors import InputError
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import madds_table
from eas_train.data.splits import Images, Splits
from eas_train.diagnosis.members import ends_and_middle
from eas_train.pipeline import Training
from eas_train.progress import duration
from eas_train.recipe import Recipe
from eas_train.strategy.recipe import NseRecipe
from eas_train.supernet.classifier import seen_by
from eas_train.supernet.effort import step_madds
from eas_train.supernet.recipe import SupernetRecipe
from eas_train.supernet.score import EACH
from eas_train.supernet.train import TEACHER_IMAGES, train_supernet
from eas_train.supernet.validation import looks

STEPS = 3
"""Of each phase; the first is slower and does not count."""
SELECTOR_STEP_S = 0.02
"""Of the generator, on any machine: a small part of all."""
STATES = 6
"""Copies of the weights that checkpoints hold: as they are, as they began, the best, and those of the optimizer."""


@dataclass(frozen=True)
class Estimate:
    """Of one training.

    Attributes:
        steps_s: seconds of a step, by phase; other_s: of everything else.
        disk_bytes: of the files in the output folder, at the end.
    """

    steps_s: tuple[float, ...]
    other_s: float
    disk_bytes: int

    def supernet_s(self, recipe: SupernetRecipe) -> float:
        """Of all its steps."""
        return sum(each * phase.steps for each, phase in zip(self.steps_s, recipe.phases, strict=True))

    def total_s(self, recipe: SupernetRecipe) -> float:
        """Of the whole training."""
        return self.supernet_s(recipe) + self.other_s


def estimate(training: Training) -> Estimate | None:
    """Take a few steps of every phase of a training's supernet, in a folder that is then gone; a few seconds.

    Returns:
        None where phases are not known before (NSE), there are none, or the training ends by itself so early.
    """
    recipe = training.recipe.supernet
    if isinstance(recipe.strategy, NseRecipe) or not recipe.phases:
        return None
    phases = tuple(p.model_copy(update={"steps": STEPS, "warmup_steps": 0}) for p in recipe.phases)
    classifier = recipe.classifier and recipe.classifier.model_copy(update={"images": 16})
    short = recipe.model_copy(
        update={"phases": phases, "classifier": classifier, "keep": "last", "checkpoint_every_s": math.inf}
    )
    ended: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        net = train_supernet(
            short,
            training.data.train,
            Path(folder),
            training.device,
            validation=training.data.validation,
            unlabelled=training.unlabelled,
            frozen=training.teacher,
            origin=training.origin,
            told=lambda step: ended.update({step: time.monotonic()}),
        )
    lasts = [STEPS * (i + 1) for i in range(len(phases))]
    if lasts[-1] not in ended:
        return None
    steps_s = tuple((ended[last] - ended[last - STEPS + 1]) / (STEPS - 1) for last in lasts)
    space, classes = net.space, len(training.data.classes)
    madds = sum(step_madds(space, phase, recipe, classes) for phase in recipe.phases)
    rate = madds / sum(steps_s)
    selector_s = training.recipe.generator.steps * SELECTOR_STEP_S if training.recipe.selector == "generator" else 0.0
    weights = sum(parameter.numel() * parameter.element_size() for parameter in net.parameters())
    other_s = other_madds(training.recipe, space, training.data) / rate + selector_s
    return Estimate(steps_s, other_s, STATES * weights)


def fitted(recipe: SupernetRecipe, made: Estimate, minutes: float) -> SupernetRecipe:
    """The recipe with as many steps as fit into a time, in the proportions that its phases have.

    Raises:
        InputError: what is beside the steps takes longer.
    """
    room = 60 * minutes - made.other_s
    if room <= 0:
        raise InputError(
            f"--minutes is more than what a training takes beside the supernet's steps, about "
            f"{duration(made.other_s)} here; got {minutes:g}"
        )
    share = room / made.supernet_s(recipe)
    return recipe.model_copy(update={"phases": tuple(phase.scaled(share) for phase in recipe.phases)})


def other_madds(recipe: Recipe, space: Space, data: Splits[Images]) -> float:
    """Multiply-adds of everything but the phases' steps, as far as networks compute."""
    classes, table = len(data.classes), madds_table(space)
    ends = ends_and_middle(space)
    cost = {name: int(table.total(space, space.encode([member]), classes)[0]) for name, member in ends.items()}
    middle = fmean(cost.values())
    supernet = recipe.supernet
    total = 0.0
    if supernet.classifier is not None:
        views = min(supernet.classifier.images, len(data.train) * supernet.classifier.views)
        total += views * float(table.total(space, space.encode(seen_by(space)), classes).sum())
    if supernet.total_steps:
        times, images = looks(supernet)
        total += (times + 1) * min(images, len(data.validation)) * sum(cost.values())
    if supernet.normalisation == "batch":
        total += recipe.statistics.networks * recipe.statistics.images * middle
    validated = min(recipe.predictor.images or len(data.validation), len(data.validation))
    shown = validated * recipe.predictor.views + recipe.predictor.training_images
    total += recipe.predictor.networks * shown * middle
    table_views = recipe.bundle.views * (len(data.validation) + len(data.test))
    total += table_views * recipe.bundle.budgets * middle
    if any(phase.teacher == "frozen" for phase in supernet.phases) and supernet.normalisation == "batch":
        total += min(TEACHER_IMAGES, EACH * len(data.train)) * cost["largest"]
    return total + len(data.test) * sum(cost.values())
