"""What the training of a supernet in a folder goes by."""

from __future__ import annotations

from pathlib import Path

from eas_train import checkpoint
from eas_train.data.splits import Images
from eas_train.supernet.recipe import Identified, SupernetRecipe

CHECKPOINT = "supernet.pt"


def fingerprint_in(
    folder: Path,
    recipe: SupernetRecipe,
    data: Images,
    validation: Images | None = None,
    unlabelled: Images | None = None,
    teacher: Identified | None = None,
    start: Identified | None = None,
) -> str:
    """`recipe.fingerprint`; but a training that began when superclasses did not count in it goes on as it began."""
    before = recipe.fingerprint(data, validation, unlabelled, teacher, start, grouped=False)
    if checkpoint.owner(folder / CHECKPOINT) == before:
        return before
    return recipe.fingerprint(data, validation, unlabelled, teacher, start)
