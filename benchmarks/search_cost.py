"""What it costs to find architectures for 14 superclasses x 5 budgets: once-for-all's searches, and the generator.

    python -m benchmarks.search_cost studies/emoji

Both start from the same supernet and the same measured sub-networks, those of the first seeds of a study, and are timed
in CPU seconds, in one process on one thread. Once-for-all (OFA-T) fits an accuracy predictor for each superclass and
runs an evolutionary search for each request, with the sizes of its paper but for the number of measured sub-networks;
the generator is trained once and answers all requests in one forward pass of the runtime. The paper has the same in its
table 3; a step of the generator's training on images by either encoding is timed as well, with the study's settings.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from eas_sdk.selector.generator import ENCODINGS
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.protocol import BoolArray, IntArray
from eas_sdk.space.tables import madds_range, madds_table
from eas_train.data.source import Source
from eas_train.generator.train import train_generator
from eas_train.pipeline import Training
from eas_train.progress import progress
from eas_train.recipe import SearchRecipe
from eas_train.search.evolution import evolve
from eas_train.search.predictor import AccuracyPredictor, fit
from eas_train.search.select import accuracies
from eas_train.selection import Given, select
from eas_train.study.config import Study
from eas_train.study.run import STAGES

BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
ROUNDS, STEPS = 20, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `eas study emoji`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Study.read("emoji")
    recipe = plan.training_recipe(plan.methods[0], plan.supernet_seeds[0], plan.seeds[0])
    space = recipe.supernet.search_space()
    data, _, _ = Source().load(space.input_sizes[-1] + 32)
    training = Training(recipe, data, options.folder / STAGES, torch.device("cpu"), shared=True)
    requests = [
        Request(((t, 1),), len(s.class_names), int(low + budget * (high - low)))
        for t, s in enumerate(data.superclasses)
        for low, high in [madds_range(space, len(s.class_names))]
        for budget in BUDGETS
    ]
    figures: dict[str, Any] = {
        "superclasses": len(data.superclasses),
        "budgets": BUDGETS,
        "measured_networks": len(training.measured.scores),
        "measuring_seconds": round(training.measured.seconds, 1),
        "generator": generator(training, requests),
        "ofa_t": once_for_all(training, requests),
        "seconds_of_a_step_on_images": {name: step_seconds(training, plan, name) for name in ENCODINGS},
    }
    figures["search_seconds_ofa_t_over_generator"] = round(
        figures["ofa_t"]["search_seconds"] / figures["generator"]["search_seconds"]
    )
    record("search_cost", figures)


def generator(training: Training, requests: list[Request]) -> dict[str, Any]:
    """Training anew, then all requests in one pass."""
    with tempfile.TemporaryDirectory() as folder:
        given = Given(
            training.recipe,
            training.net,
            training.statistics,
            lambda: training.measured,
            training.data.validation,
            training.trained,
            Path(folder),
            "benchmark",
        )
        trained = select(given)
    selector = load_selector(training.whole_bundle(router=False))
    selector.select(requests)
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        picked = selector.select(requests)
        taken.append(time.process_time() - began)
    space = training.net.space
    madds = madds_table(space).total(space, space.encode(picked), np.array([r.classes for r in requests]))
    assert all(m <= r.madds for m, r in zip(madds, requests, strict=True))
    return {"training_seconds": round(trained.seconds, 1), "search_seconds": round(float(np.median(taken)), 5)}


def step_seconds(training: Training, plan: Study, encoding: str) -> float:
    """One step of the generator's training by Eq. 4, mean over a few."""
    (method,) = (m for m in plan.methods if m.name == "EAS, cross-entropy")
    settings = plan.training_recipe(method, plan.supernet_seeds[0], plan.seeds[0]).generator
    settings = settings.model_copy(update={"encoding": encoding, "steps": STEPS})
    worth = np.zeros((len(training.data.superclasses), training.net.space.features))
    with tempfile.TemporaryDirectory() as folder:
        given = (settings, training.net, training.statistics, worth, training.data.validation)
        more = (training.recipe.supernet.augmentation, Path(folder))
        _, seconds = train_generator(*given, *more, fingerprint="benchmark")
    return round(seconds / STEPS, 3)


def once_for_all(training: Training, requests: list[Request]) -> dict[str, Any]:
    """Predictors for all superclasses, then a search for each request."""
    space, recipe = training.net.space, SearchRecipe()
    scores = accuracies(training.measured)
    began = time.process_time()
    predictors: list[AccuracyPredictor] = [fit(space, training.measured.choices, column, recipe) for column in scores.T]
    fitted = time.process_time()
    with progress("searching", len(requests)) as update:
        for i, request in enumerate(requests):

            def fits(choices: IntArray, request: Request = request) -> BoolArray:
                return np.asarray(madds_table(space).total(space, choices, request.classes) <= request.madds)

            space.decode(evolve(space, predictors[request.shares[0][0]], fits, recipe, seed=i))
            update(i + 1, "")
    searched = time.process_time()
    return {
        "training_seconds": round(fitted - began, 1),
        "search_seconds": round(searched - fitted, 1),
        "population": recipe.population,
        "generations": recipe.generations,
    }


if __name__ == "__main__":
    main()
