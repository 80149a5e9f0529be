"""The trainings of a finished study, for benchmarks that look into them."""

from __future__ import annotations

from pathlib import Path

import torch

from eas_train.data.source import Source
from eas_train.pipeline import Training
from eas_train.study.config import Study
from eas_train.study.run import STAGES

MARGIN = 32
"""Pixels by which images are larger than the network's input, as in `eas study`."""


def training_of(plan: Study, name: str, supernet_seed: int, folder: Path) -> Training:
    """The training of a method, by name, with the first seed of what comes after the supernet."""
    (method,) = [method for method in plan.methods if method.name == name]
    recipe = plan.training_recipe(method, supernet_seed, plan.seeds[0])
    data, _, attributions = Source().load(recipe.supernet.search_space().input_sizes[-1] + MARGIN)
    return Training(recipe, data, folder / STAGES, torch.device("cpu"), attributions, shared=True)
