"""`eas train`, and the same from Python."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eas_sdk.errors import InputError, closest
from eas_sdk.extras import training_packages
from eas_sdk.task import ALL, AUTO
from eas_train.result import Report

if TYPE_CHECKING:
    from eas_train.pipeline import Training
    from eas_train.recipe import Recipe
    from eas_train.run_folder import Run

AnyPath = str | os.PathLike[str]

SCRATCH = "scratch"
"""What a training of one's own photos begins with that begins with nothing."""


def train(
    data: AnyPath | None = None,
    *,
    recipe: AnyPath | Recipe | None = None,
    classes: AnyPath | None = None,
    layout: str | None = None,
    others: AnyPath | None = None,
    cache: AnyPath | None = None,
    name: str | None = None,
    attributions: str | Sequence[str] = (),
    out: AnyPath | None = None,
    stages: str | Sequence[str] = (),
    start: AnyPath | None = None,
    unlabelled: AnyPath | None = None,
    teacher: AnyPath | None = None,
    calibration: AnyPath | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    minutes: float | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Report:
    """Train a bundle, or go on training it; each argument is an option of `eas train`, whose help says more.

    What is done and how far it is goes to standard error and to the logger "eas_train". An interrupt (of a notebook's
    cell, too) ends the training after its step, and the same call goes on.

    Args:
        data: the images: a folder, or a list of them; by default the emoji of `eas data`.
        recipe: all settings: the name of one that ships, a .toml file, or a `Recipe`. By default "own" for images of
            `data`, or "own-scratch" where `start` is "scratch", with steps by their number; else "emoji".
        classes: which classes, in which superclasses: the name of a list, or a file.
        layout: how `data` lies in its folder.
        others: images of other things, for the router.
        cache: where the emoji are kept.
        name: of the bundle; by default that of the recipe, or of the folder `data` without a recipe.
        attributions: whose images these are.
        out: folder of the results, by default runs/NAME.
        stages: only these; by default all six.
        start: the bundle that a training begins with (recipes with pretrained = "bundle"), `--from` of the command; or
            "scratch", for none.
        unlabelled: photos without labels, for phases of the recipe that train on such.
        teacher: a bundle of the same classes whose largest network teaches.
        calibration: photos that the bundle may carry, for exports.
        skip_bad: leave out files of `data` and `others` that cannot be read, which else stop it before it begins.
        dry_run: two steps of everything, on two images of each class.
        minutes: that the whole training may take on this machine as it is now; the steps of all phases follow.
        device: "auto", "cpu" or "cuda".
        threads: of the processor; by default as many as there are cores that nobody uses.

    Returns:
        What came of it. Of several processes (torchrun) only the first does more than its share of the supernet; the
        reports of the others have no stages.

    Raises:
        InputError: arguments that are out of range or exclude each other.
        DataError, TrainingError: the images, the recipe or the folder do not allow it; see `Training`.
        MissingDependency: the packages of the extra `train` are not installed.
    """
    with training_packages():
        from eas_train import own
        from eas_train.before.command import before_training, keep
        from eas_train.belonging import claim
        from eas_train.data.source import Source
        from eas_train.device import torch_device
        from eas_train.distributed import is_first, joined
        from eas_train.lock import only_one
        from eas_train.pipeline import STAGES
        from eas_train.recipe import Recipe
        from eas_train.run_folder import Run
        from eas_train.threads import computing_on
    credits = (attributions,) if isinstance(attributions, str) else tuple(attributions)
    wanted = (stages,) if isinstance(stages, str) else tuple(stages)
    for stage in wanted:
        if stage not in STAGES:
            raise InputError(f"a stage is one of {STAGES}; got {stage!r}; {closest(stage, STAGES)}")
    source = Source(_path(data), _path(others), _path(cache), None if classes is None else os.fspath(classes), layout)
    if source.folder is None and credits:
        raise InputError("--attribution is for images of --data; the emoji carry their own")
    scratch = start is not None and os.fspath(start) == SCRATCH
    if scratch and recipe is not None:
        raise InputError(f"--from {SCRATCH} is for a training without --recipe, which says itself what it begins with")
    if minutes is not None and not 0 < minutes < math.inf:
        raise InputError(f"minutes are a number above 0; got {minutes}")
    if recipe is None:
        recipe = "emoji" if source.folder is None else own.SCRATCH if scratch else own.TRANSFER
    by_number = recipe in (own.TRANSFER, own.SCRATCH)
    plan = recipe if isinstance(recipe, Recipe) else Recipe.read(os.fspath(recipe))
    if name is None and by_number and source.folder is not None:
        name = os.fsencode(source.folder.resolve().name).decode(errors="replace")
    if name is not None:
        plan = plan.model_copy(update={"name": name})
    if dry_run:
        plan = plan.dry()
    folder = _path(out) or Path("runs") / plan.name
    where, first = torch_device(device), is_first()
    tell = logging.getLogger(__name__).info
    with only_one(folder) if first else nullcontext():
        began = Run.kept(folder)
        with computing_on(threads, None if began is None else began.threads) as chosen:
            found = None
            with training_packages():
                if first or skip_bad:  # what is left out has to be the same for all processes
                    source, found = before_training(source, skip_bad=skip_bad)
                places = (None if scratch else _path(start), _path(unlabelled), _path(teacher), _path(calibration))
                run = Run(plan, source, *places, credits, dry_run, chosen, minutes, plan)
                training = run.training(folder, where)
                if by_number and not dry_run:
                    space = training.recipe.supernet.search_space()
                    training = replace(training, recipe=own.sized(training.recipe, space, len(training.data.train)))
                todo = [stage for stage in STAGES if not wanted or stage in wanted]
                training = _timed(training, run, began, todo)
                run = replace(run, recipe=_with_space_of(training.recipe, plan))
            if first:
                claim(run, training, todo, began)
                facts = f"{len(training.data.train)} images of {len(training.data.classes)} classes"
                tell("training %r on %s, on %s (threads: %d), into %s", plan.name, facts, where, chosen, folder)
                if found is not None:
                    keep(training, found)
                for word in {ALL, AUTO} & {*training.data.classes}:
                    tell("the class %r is the task '%s,' on the command line and ['%s'] in Python", word, word, word)
            if "supernet" in todo:  # the one stage that several processes share
                with joined(where) as device_of_mine:
                    replace(training, device=device_of_mine).train_supernet()
            return Report(folder, tuple(training.run((stage,)) for stage in todo) if first else ())


def _timed(training: Training, run: Run, began: Run | None, stages: Sequence[str]) -> Training:
    """The training with steps that fit into its minutes, where there are any; how long it takes is told as it begins.

    Args:
        run: as it is asked for; began: as it began in this folder, where it did.

    Raises:
        InputError: that cannot be known, or what is beside the steps takes longer.
    """
    from eas_train.distributed import processes
    from eas_train.estimate import estimate, fitted
    from eas_train.progress import duration
    from eas_train.supernet.identity import CHECKPOINT

    if run.minutes is not None and processes() > 1:
        raise InputError(f"--minutes is for one process; these are {processes()}")
    if run.minutes is not None and began is not None and (began.asked, began.minutes) == (run.asked, run.minutes):
        return replace(training, recipe=_with_space_of(began.recipe, training.recipe))  # as it was measured then
    begins = "supernet" in stages and not (training.folder / CHECKPOINT).exists()
    if run.dry or not begins or processes() > 1:
        return training
    made = estimate(training)
    if made is None:
        if run.minutes is not None:
            raise InputError("--minutes is for recipes whose phases are known before, and that have some")
        return training
    if run.minutes is not None:
        supernet = fitted(training.recipe.supernet, made, run.minutes)
        training = replace(training, recipe=training.recipe.model_copy(update={"supernet": supernet}))
    supernet = training.recipe.supernet
    logging.getLogger(__name__).info(
        "about %s: %d steps of the supernet take %s, all else %s; about %.0f MB on the disk",
        duration(made.total_s(supernet)),
        supernet.total_steps,
        duration(made.supernet_s(supernet)),
        duration(made.other_s),
        made.disk_bytes / 1e6,
    )
    return training


def _with_space_of(recipe: Recipe, other: Recipe) -> Recipe:
    """A recipe with the space that another names: that of a bundle is not kept, as the bundle says it."""
    supernet = recipe.supernet.model_copy(update={"space": other.supernet.space})
    return recipe.model_copy(update={"supernet": supernet})


def _path(given: AnyPath | None) -> Path | None:
    return None if given is None else Path(given)
