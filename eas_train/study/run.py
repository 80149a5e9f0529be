"""Running a study: every method x supernet seed x seed ends in one file, and a file that is there is not made again."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eas_sdk.errors import TrainingError
from eas_sdk.selector.protocol import Request, Selector
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_range, madds_table
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.source import Source
from eas_train.generator.measure import Shown, drawing_scores, shares
from eas_train.pipeline import BY_PREDICTOR, Training
from eas_train.progress import progress
from eas_train.study.config import Method, Study
from eas_train.study.records import keep, kept
from eas_train.supernet.evaluate import logits_of, recalibrated
from eas_train.threads import computing_on, usable_cores

POLL_S = 1.0
STAGES, RUNS = "stages", "runs"


@dataclass(frozen=True)
class Run:
    """One method on one supernet with one seed.

    Attributes:
        architectures: [B][T], what was picked for each budget and superclass; madds: [B][T].
        scores: [B][D], the share of each test drawing's views that the network of its superclass recognises among
            the classes of that superclass.
        scores_of_all: the same among the classes of all superclasses; none in files of before these were kept.
        seconds: training, measuring and searching by stage (see clock.py), and "pick": answering all requests.
        measured: how many sub-networks were measured.
    """

    method: str
    supernet_seed: int
    seed: int
    architectures: list[list[str]]
    madds: list[list[int]]
    scores: list[list[float]]
    seconds: dict[str, float]
    measured: int
    scores_of_all: list[list[float]] = field(default_factory=list)


def run_study(
    study: Study, source: Source, folder: Path, device: str = "cpu", *, jobs: int = 1, margin: int = 32
) -> list[Run]:
    """All runs of a study, in the order methods, supernet seeds, seeds.

    Args:
        folder: keeps stages (shared by the methods) and runs; a study that was stopped goes on from there.
        jobs: processes, each of which takes supernet seeds; the processor's threads are divided among them.
        margin: pixels by which images are larger than the network's input.

    Raises:
        TrainingError, DataError: as the stages do, or a method's settings are wrong.
    """
    for method in study.methods:  # wrong settings are told before anything is trained
        study.training_recipe(method, 0, 0)
    folder.mkdir(parents=True, exist_ok=True)
    total = len(study.methods) * len(study.supernet_seeds) * len(study.seeds)
    arguments = [(study, source, folder, device, margin, seed) for seed in study.supernet_seeds]
    if jobs == 1:
        with computing_on():
            runs = [run for each in arguments for run in _runs_of_seed(*each)]
    else:
        threads = max(1, usable_cores() // jobs)
        with (
            get_context("spawn").Pool(jobs, torch.set_num_threads, (threads,)) as pool,
            progress(f"study {study.name}", total) as update,
        ):  # where one fails the others are stopped, and what they finished is kept
            results = [pool.apply_async(_logged, each) for each in arguments]
            while not all(result.ready() for result in results):
                time.sleep(POLL_S)
                for result in results:
                    if result.ready():
                        result.get()  # raises what was raised there
                found = len(list((folder / RUNS).glob("*.json")))
                update(min(found, total), f"details: {folder}/supernet-seed-*.log")
            runs = [run for result in results for run in result.get()]
    order = {method.name: i for i, method in enumerate(study.methods)}
    return sorted(runs, key=lambda run: (order[run.method], run.supernet_seed, run.seed))


def _logged(study: Study, source: Source, folder: Path, device: str, margin: int, supernet_seed: int) -> list[Run]:
    with (folder / f"supernet-seed-{supernet_seed}.log").open("a", buffering=1) as log, redirect_stderr(log):
        return _runs_of_seed(study, source, folder, device, margin, supernet_seed)


def _runs_of_seed(
    study: Study, source: Source, folder: Path, device: str, margin: int, supernet_seed: int
) -> list[Run]:
    supernets = [study.training_recipe(method, 0, 0).supernet for method in study.methods]
    sizes = {supernet.search_space().input_sizes[-1] for supernet in supernets}
    kinds = {supernet.augmentation.kind for supernet in supernets}
    if len(sizes) > 1:
        raise TrainingError(f"the methods of a study take images of one size; got {sorted(sizes)} px")
    if len(kinds) > 1:
        raise TrainingError(f"the methods of a study all take drawings, or all photos; got {sorted(kinds)}")
    data, _, _ = source.load(sizes.pop() + margin, kinds.pop())
    runs = []
    for seed in study.seeds:
        for method in study.methods:
            recipe = study.training_recipe(method, supernet_seed, seed)
            print(f"{method.name}: supernet seed {supernet_seed}, seed {seed}", file=sys.stderr)
            training = Training(recipe, data, folder / STAGES, torch.device(device), shared=True)
            runs.append(_run(study, method, training, folder))
    return runs


def _run(study: Study, method: Method, training: Training, folder: Path) -> Run:
    stages = (training.fingerprints["selector"], training.data.test.digest)
    budgets = study.madds or study.budgets
    facts = (method.name, *stages, budgets, study.views, method.statistics, study.recalibration_images)
    fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    path = folder / RUNS / f"{fingerprint[:16]}.json"
    if (found := kept(Run, path)) is not None:
        return found
    training.train_supernet()
    bundle = training.whole_bundle(router=False)
    selector = load_selector(bundle)
    requests = _requests(study, training, selector)
    began = time.process_time()
    picked = selector.select(requests, seed=training.recipe.generator.seed)
    pick = time.process_time() - began
    table, count = madds_table(bundle.space), len(bundle.superclasses)
    classes = np.array([request.classes for request in requests])
    madds = table.total(bundle.space, bundle.space.encode(picked), classes).astype(np.int64).reshape(-1, count)
    recipe = training.recipe
    within, of_all = _scores(study, method, training, picked)
    made = Run(
        method.name,
        recipe.supernet.seed,
        recipe.generator.seed,
        [[str(a) for a in picked[i : i + count]] for i in range(0, len(picked), count)],
        madds.tolist(),
        within,
        {**training.seconds(), "pick": pick},
        len(training.measured.scores) if recipe.selector in BY_PREDICTOR else 0,
        of_all,
    )
    keep(made, path)
    return made


def _requests(study: Study, training: Training, selector: Selector) -> list[Request]:
    """Budget-major, one for each superclass.

    Raises:
        TrainingError: the method has no network within a budget.
    """
    space = training.net.space
    requests = []
    for budget in study.madds or study.budgets:
        for t, superclass in enumerate(training.data.superclasses):
            classes = len(superclass.class_names)
            low, high = madds_range(space, classes)
            madds = int(budget) if study.madds else int(low + budget * (high - low))
            if (least := selector.madds_range(classes)[0]) > madds:
                raise TrainingError(
                    f"every method has a network within every budget; the smallest of recipe {training.recipe.name!r} "
                    f"for {superclass.name!r} takes {least} multiply-adds; got the budget {madds}"
                )
            requests.append(Request(((t, 1),), classes, madds))
    return requests


def _scores(
    study: Study, method: Method, training: Training, picked: list[Architecture]
) -> tuple[list[list[float]], list[list[float]]]:
    """[B][D] within the superclass, and among all classes; see `Run`."""
    data, net = training.data.test, training.net
    images, targets = fixed_views(data, study.views, net.space.input_sizes[-1], training.device)
    owner = training.superclass_of[targets]
    drawing = torch.arange(len(targets), device=targets.device) // study.views
    of_drawing = superclass_of_class(data.superclasses)[data.targets]
    count = len(data.superclasses)
    normalise = norm(study, method, training)
    scores = np.zeros((2, len(study.labels), len(data)))
    with progress(f"testing {method.name}", len(picked)) as update:
        for i, architecture in enumerate(picked):
            budget, t = divmod(i, count)
            mine = owner == t
            _, shown = torch.unique(drawing[mine], return_inverse=True)
            logits = logits_of(net, architecture, images[mine], normalise(architecture))
            seen = Shown(images[mine], targets[mine], shown)
            scores[0, budget, of_drawing == t] = drawing_scores(logits, seen, training.superclass_of)
            scores[1, budget, of_drawing == t] = shares(logits.argmax(1) == seen.targets, seen)
            update(i + 1, "")
    within, of_all = ([[round(v, 4) for v in row] for row in each] for each in scores.tolist())
    return within, of_all


def norm(study: Study, method: Method, training: Training) -> Callable[[Architecture], Any]:
    """How a network normalises when it is tested."""
    if method.statistics == "bundle":
        return training.statistics.norm
    images = training.training_images(study.recalibration_images)(0)
    return lambda architecture: recalibrated(training.net, architecture, images)
