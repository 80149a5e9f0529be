"""What a supernet scores on validation images while it is trained, and the weights that scored best.

When is a function of the recipe alone, so that a training that was stopped goes on exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eas_train import checkpoint, step_log
from eas_train.data.splits import Images
from eas_train.diagnosis.members import ends_and_middle
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import SupernetRecipe
from eas_train.supernet.score import Judge

LOG = "validation.jsonl"
BEST = "supernet-best.pt"
SHARE = 0.04
"""Of the images that networks are trained on, those that they are judged on; without gradients these cost a third."""
TIMES = (4, 20)
"""That a training is looked at, at least and at most."""
IMAGES = (50, 200, 1000)
"""Of each look: at least, what is better than more looks, and at most."""
TRAINING_IMAGES = 256
"""For each network whose batch-norm statistics are recorded."""


@dataclass(frozen=True, eq=False)
class Validation:
    """Looks at a supernet at some steps of its training.

    Attributes:
        folder: of the log and of the best weights; fingerprint: of the training.
        at: the steps: before the first, after the last, and between.
    """

    judge: Judge
    folder: Path
    fingerprint: str
    at: frozenset[int]

    @classmethod
    def of(
        cls,
        net: Supernet,
        recipe: SupernetRecipe,
        train: Images,
        validation: Images,
        folder: Path,
        fingerprint: str,
    ) -> Validation:
        """For the training of a recipe."""
        times, images = looks(recipe)
        total = recipe.total_steps
        judge = Judge.of(
            net,
            train,
            validation,
            recipe.augmentation,
            most_images=images,
            most_training=min(TRAINING_IMAGES, recipe.judged_images),
        )
        return cls(judge, folder, fingerprint, frozenset(round(total * i / times) for i in range(times + 1)))

    def after(self, step: int, net: Supernet, began: Supernet) -> str:
        """Look, where it is time: log the scores, and keep the weights that have the best mean top-1.

        Args:
            began: the same with the weights that it began with, which are kept beside them.

        Returns:
            The scores in words; "" at other steps.
        """
        if step not in self.at:
            return ""
        members = ends_and_middle(net.space)
        scores = {name: self.judge.score(net, architecture) for name, architecture in members.items()}
        look = {"members": {name: score.to_json() for name, score in scores.items()}}
        earlier = [mean_top1(before) for before in step_log.read(self.folder / LOG) if before["step"] < step]
        if all(mean < mean_top1(look) for mean in earlier):
            states = {"net": net.state_dict(), "began": began.state_dict()}
            checkpoint.save(self.folder / BEST, {"recipe": self.fingerprint, "step": step, **states})
        step_log.append(self.folder / LOG, step, look)
        return ", ".join(f"{name} {score.top1.mean():.1%}" for name, score in scores.items())


def mean_top1(look: Mapping[str, Any]) -> float:
    """Of the members that were looked at."""
    return float(np.mean([member["top1"] for member in look["members"].values()]))


def looks(recipe: SupernetRecipe) -> tuple[int, int]:
    """How often, the first time aside, and on how many images: more where more is trained."""
    trained = sum(phase.steps * (1 if phase.largest_only else phase.networks) for phase in recipe.phases)
    allowed = SHARE * trained * recipe.batch_size
    if recipe.judged_images < IMAGES[0] // 2:
        return 1, recipe.judged_images
    times = min(max(int(allowed / IMAGES[1]), TIMES[0]), TIMES[1])
    return min(times, recipe.total_steps), int(min(max(allowed / times, IMAGES[0]), IMAGES[2]))
