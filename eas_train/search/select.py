"""Search as a way of picking architectures: OFA-T searches for each superclass, OFA-V once for all (EAS, section 4)."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import TrainingError
from eas_sdk.space.protocol import BoolArray, IntArray, Space
from eas_sdk.space.tables import madds_range, madds_table
from eas_train import checkpoint
from eas_train.progress import progress
from eas_train.search.evolution import evolve
from eas_train.search.predictor import AccuracyPredictor, fit
from eas_train.selection import Given, Measured, Selection

CHECKPOINT = "search.pt"


def select(given: Given) -> Selection:
    """Fit accuracy predictors to the measured sub-networks, search, and leave what was found as a menu.

    Found networks are kept one by one: a search that was stopped goes on with the next.

    Raises:
        TrainingError: the checkpoint belongs to another training.
    """
    recipe, space = given.recipe.search, given.net.space
    measured = given.measured()
    began = time.process_time()  # all of it is on the CPU
    accuracy = accuracies(measured, recipe.training_weight)
    if recipe.per == "all":
        accuracy = accuracy.mean(1, keepdims=True)
    predictors = [fit(space, measured.choices, column, recipe) for column in accuracy.T]
    path = given.folder / CHECKPOINT
    state = checkpoint.load(path, recipe=given.fingerprint) or {"found": [], "seconds": 0.0}
    rows: list[IntArray] = [np.array(row, np.int8) for row in state["found"]]
    before = float(state["seconds"])
    wanted = [(t, budget) for t in range(len(predictors)) for budget in recipe.madds or recipe.budgets]
    with progress("search", len(wanted), len(rows)) as update:
        for i, (t, budget) in enumerate(wanted):
            if i < len(rows):
                continue
            classes = given.classes[t] if recipe.per == "superclass" else round(np.mean(given.classes))
            low, high = madds_range(space, classes)
            most = int(budget if recipe.madds else low + budget * (high - low))

            def fits(choices: IntArray, classes: int = classes, most: int = most) -> BoolArray:
                return np.asarray(space.allowed(choices) & (madds_table(space).total(space, choices, classes) <= most))

            rows.append(evolve(space, predictors[t], fits, recipe, seed=recipe.seed * 1_000_003 + i))
            elapsed = before + time.process_time() - began
            found = [row.tolist() for row in rows]
            checkpoint.save(path, {"recipe": given.fingerprint, "found": found, "seconds": elapsed})
            update(i + 1, "")
    seconds = before + time.process_time() - began
    config, tensors = menu(space, np.stack(rows), predictors, len(given.classes))
    return Selection(config, tensors, {"searches": len(wanted)}, seconds)


def accuracies(measured: Measured, training_weight: float = 0.0) -> npt.NDArray[np.float64]:
    """[N, T]: the mean over each superclass's validation drawings, mixed with that over its training drawings."""
    columns = []
    for t in range(int(measured.superclass_of.max()) + 1):
        mine = measured.superclass_of == t
        validation, training = mine & ~measured.training, mine & measured.training
        accuracy = measured.scores[:, validation].mean(1)
        if training_weight and training.any():
            accuracy = (accuracy + training_weight * measured.scores[:, training].mean(1)) / (1 + training_weight)
        columns.append(accuracy)
    return np.stack(columns, 1)


def menu(
    space: Space, found: IntArray, predictors: list[AccuracyPredictor], superclasses: int
) -> tuple[dict[str, str], dict[str, npt.NDArray[np.generic]]]:
    """The "menu" selector of what was found, [N, C], with the predictors' scores.

    Args:
        predictors: one for each superclass, or one for all.
    """
    architectures = {space.smallest, *(space.decode(row) for row in found)}
    choices = np.unique(space.encode(list(architectures)), axis=0)
    scores = np.stack([predictor(choices) for predictor in predictors])
    if not np.isfinite(scores).all():
        raise TrainingError("the accuracy predictor's scores must be finite; lower search.learning_rate")
    if len(predictors) == 1:
        scores = np.repeat(scores, superclasses, 0)
    return {"kind": "menu"}, {"choices": choices, "scores": scores.astype(np.float32)}
