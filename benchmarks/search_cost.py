"""What it costs to find architectures for 14 superclasses x 5 budgets: once-for-all's searches, and the generator.

    python -m benchmarks.search_cost runs/emoji

Both start from the same supernet and the same measured sub-networks of a finished training, and are timed on the CPU,
in one process on one thread. Once-for-all (OFA-T) fits an accuracy predictor for each superclass and runs an
evolutionary search for each request, with the sizes of its paper but for the number of measured sub-networks; the
generator is trained once and answers all requests in one forward pass of the runtime. The paper has the same in its
table 3.
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
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.choices import BoolArray, IntArray, decode, encode
from eas_sdk.space.tables import madds_range, madds_table
from eas_train.data.source import Source
from eas_train.pipeline import Training
from eas_train.progress import progress
from eas_train.recipe import Recipe, SearchRecipe
from eas_train.search.evolution import evolve
from eas_train.search.predictor import AccuracyPredictor, fit
from eas_train.search.select import accuracies
from eas_train.selection import Given, select

BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a finished `eas train`")
    parser.add_argument("--recipe", default="emoji")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe.read(options.recipe)
    space = recipe.supernet.space()
    data, others, attributions = Source().load(space.input_size + 32)
    training = Training(recipe, data, options.folder, torch.device("cpu"), attributions, others)
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
            Path(folder),
            "benchmark",
        )
        trained = select(given)
    selector = load_selector(training.whole_bundle(router=False))
    selector.select(requests)
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        picked = selector.select(requests)
        taken.append(time.perf_counter() - began)
    space = training.net.space
    madds = madds_table(space).total(space, encode(space, picked), np.array([r.classes for r in requests]))
    assert all(m <= r.madds for m, r in zip(madds, requests, strict=True))
    return {"training_seconds": round(trained.seconds, 1), "search_seconds": round(float(np.median(taken)), 5)}


def once_for_all(training: Training, requests: list[Request]) -> dict[str, Any]:
    """Predictors for all superclasses, then a search for each request."""
    space, recipe = training.net.space, SearchRecipe()
    scores = accuracies(training.measured)
    began = time.perf_counter()
    predictors: list[AccuracyPredictor] = [fit(space, training.measured.choices, column, recipe) for column in scores.T]
    fitted = time.perf_counter()
    with progress("searching", len(requests)) as update:
        for i, request in enumerate(requests):

            def fits(choices: IntArray, request: Request = request) -> BoolArray:
                return np.asarray(madds_table(space).total(space, choices, request.classes) <= request.madds)

            decode(space, evolve(space, predictors[request.shares[0][0]], fits, recipe, seed=i))
            update(i + 1, "")
    searched = time.perf_counter()
    return {
        "training_seconds": round(fitted - began, 1),
        "search_seconds": round(searched - fitted, 1),
        "population": recipe.population,
        "generations": recipe.generations,
    }


if __name__ == "__main__":
    main()
