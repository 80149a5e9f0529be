"""The generator as a way of picking architectures: predictor and generator are trained and exported (EAS, 3.2)."""

from __future__ import annotations

import time

import numpy as np

from eas_sdk.space.elastic.gates import gates_of_choices
from eas_train.generator import predictor as predictors
from eas_train.generator.train import train_generator
from eas_train.selection import Given, Selection


def select(given: Given) -> Selection:
    """Fit the accuracy predictor, train the generator, and give what the runtime needs of both."""
    recipe, space, sizes = given.recipe.generator, given.net.elastic, given.classes
    measured = given.measured()
    began = time.process_time()  # fitting is on the CPU
    gates = gates_of_choices(space, measured.choices)
    predictor = predictors.fit(gates, measured.scores, measured.superclass_of, measured.training)
    worth = (
        predictor.weights if recipe.conditioned else np.broadcast_to(predictor.weights.mean(0), predictor.weights.shape)
    )
    fitting = time.process_time() - began
    generator, seconds = train_generator(
        recipe,
        given.net,
        given.statistics,
        worth,
        given.validation,
        given.recipe.supernet.augmentation,
        given.folder,
        fingerprint=given.fingerprint,
    )
    tensors = {name: weight.numpy() for name, weight in generator.export(len(sizes)).items()}
    tensors["predictor"] = worth.astype(np.float32)
    config = {
        "kind": "generator",
        "budgets": generator.budgets.tolist(),
        "samples": given.recipe.bundle.samples,
        "cost": "madds" if recipe.latency_table is None else "latency",
        "encoding": recipe.encoding,
    }
    figures = {"predictor_rank_correlation": predictor.rank_correlation}
    return Selection(config, tensors, figures, fitting + seconds)
