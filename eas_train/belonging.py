"""Whether a folder's results are those of the training that is to go on in it, and, if not, in what it differs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from eas_sdk.bank.shipped import OF_A_TRAINING
from eas_train import checkpoint
from eas_train.inventory import Inventory
from eas_train.pipeline import BY_PREDICTOR, Training
from eas_train.recipe import Recipe
from eas_train.report_file import read_report
from eas_train.run_folder import Run
from eas_train.supernet.recipe import BUNDLE, UNIMPORTANT

FILES = {
    "supernet": ("supernet.pt",),
    "statistics": ("statistics.pt", "observations.pt"),
    "predictor": ("measured.json",),
    "selector": ("selector.pt", "generator.pt", "search.pt"),
    "router": ("router.pt",),
}
"""What a stage goes on from: the first of these that is there."""


def claim(run: Run, training: Training, stages: Collection[str], began: Run | None) -> None:
    """Keep in the folder of a training what it is made of; where the folder is another training's, change nothing.

    Args:
        stages: that are to be run.
        began: what the folder kept before, where it did.

    Raises:
        TrainingError: a file that a stage would go on from is another training's; it says in what that differs, as far
            as the folder tells.
    """
    folder, before = training.folder, Inventory.kept(training.folder)
    inventory = Inventory.of(training, before)
    if (found := _foreign(training, stages)) is not None:
        stage, path = found
        data = [] if before is None else list(inventory.other_than(before))
        settings = [] if began is None else list(_settings(stage, began.recipe, run.recipe, folder))
        hint = ""
        if data and (folder / OF_A_TRAINING).is_file():
            needed = "" if run.recipe.supernet.pretrained == BUNDLE else " and without --recipe"
            hint = f"go on from its bundle with --from {folder} --out ANOTHER{needed}"
        raise checkpoint.foreign(path, [*data, *settings], hint)
    inventory.keep(folder)
    run.write(folder)


def _foreign(training: Training, stages: Collection[str]) -> tuple[str, Path] | None:
    """The first stage that would go on from a file of another training, and the file."""
    for stage, names in FILES.items():
        if stage not in stages and stage != "supernet":
            continue
        if stage == "predictor" and training.recipe.selector not in BY_PREDICTOR:
            continue
        path = next((path for name in names if (path := training.folder / name).exists()), None)
        if path is None:
            continue
        owner = checkpoint.owner(path) if path.suffix == ".pt" else read_report(path).get("fingerprint")
        if owner is not None and owner != training.fingerprints[stage]:
            return stage, path
    return None


def _settings(stage: str, before: Recipe, now: Recipe, folder: Path) -> Iterator[str]:
    """The settings that differ, those of the stage first; of the supernet those alone."""
    old, new = before.model_dump(mode="json"), now.model_dump(mode="json")
    sections = sorted(new, key=lambda name: (name != "supernet", name != stage))
    for section in sections[:1] if stage == "supernet" else sections:
        if section != "name":
            for path, mine, theirs in _differences(section, new[section], old[section]):
                yield f"{path} is {_short(mine)} here and {_short(theirs)} in {folder}"


def _differences(path: str, mine: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    """(path, mine, theirs) of all leaves that differ."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for name in dict.fromkeys((*mine, *theirs)):
            if name not in UNIMPORTANT:
                yield from _differences(f"{path}.{name}", mine.get(name), theirs.get(name))
    elif _are_tables(mine) and _are_tables(theirs) and len(mine) == len(theirs):
        for i, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            yield from _differences(f"{path}[{one.get('name', i)!r}]", one, other)
    elif mine != theirs:
        yield path, mine, theirs


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _short(value: Any) -> str:
    if _are_tables(value) and value:
        return f"{len(value)} tables"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
