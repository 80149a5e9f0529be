"""Ways of picking architectures: what each may use, what each leaves, and which there are.

A way ends in the "selector" of a bundle, so that the runtime and the exporters take any of them alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import IntArray
from eas_train.data.splits import Images
from eas_train.recipe import Recipe
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.model import Supernet


@dataclass(frozen=True, eq=False)
class Measured:
    """Sub-networks, as they score on drawings.

    Attributes:
        choices: [N, C] of the sub-networks.
        scores: [N, D] of each on each drawing, higher is better (see generator/measure.py).
        superclass_of: [D], the superclass of each drawing, in 0..T-1; each has validation drawings.
        training: [D], whether a drawing was trained on.
        seconds: how long the measuring took.
    """

    choices: IntArray
    scores: npt.NDArray[np.float64]
    superclass_of: npt.NDArray[np.int64]
    training: npt.NDArray[np.bool_]
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Trained:
    """What a supernet's training left beside the weights.

    Attributes:
        left: promising architectures, best first (see strategy/uniform.py).
        optimised_images, evaluated_images: how many images went through optimisation steps, and through forward
            passes that decided what to train.
    """

    left: tuple[Architecture, ...] = ()
    optimised_images: int = 0
    evaluated_images: int = 0

    @property
    def corrected_optimisations(self) -> float:
        """Images of both sorts, in optimisations, of which one costs 3.33 evaluations (GreedyNAS, table 1)."""
        return self.optimised_images + self.evaluated_images / STEP_PER_EVALUATION


STEP_PER_EVALUATION = 3.33


@dataclass(frozen=True, eq=False)
class Given:
    """What a way of picking architectures may use.

    Attributes:
        recipe: the whole recipe; a way reads its own section.
        net, statistics: the trained supernet.
        measured: gives the measured sub-networks, measuring them first where that is not done.
        validation: drawings to choose by.
        trained: what the supernet's training left beside the weights.
        folder: for checkpoints; fingerprint: what they must carry.
    """

    recipe: Recipe
    net: Supernet
    statistics: StatisticsModel
    measured: Callable[[], Measured]
    validation: Images
    trained: Trained
    folder: Path
    fingerprint: str

    @property
    def classes(self) -> list[int]:
        """How many classes each superclass has."""
        return [len(superclass.class_names) for superclass in self.validation.superclasses]


@dataclass(frozen=True, eq=False)
class Selection:
    """What a way leaves.

    Attributes:
        config: the bundle's "selector" section.
        tensors: the bundle's tensors "selector/...", without that group.
        figures: for the report, such as the predictor's rank correlation.
        seconds: how long training and searching took, without the measuring of sub-networks.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, npt.NDArray[Any]]
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


WAYS: dict[str, str] = {
    "generator": "eas_train.generator.select:select",
    "search": "eas_train.search.select:select",
    "nsga2": "eas_train.search.nsga2:select",
    "board": "eas_train.search.board:select",
    "random": "eas_train.selection:at_random",
}
"""Name in the recipe -> "module:function" from `Given` to `Selection`."""


def select(given: Given) -> Selection:
    """What the way that the recipe names leaves."""
    module, _, function = WAYS[given.recipe.selector].partition(":")
    way: Callable[[Given], Selection] = getattr(importlib.import_module(module), function)
    return way(given)


def at_random(given: Given) -> Selection:
    """Random architectures within the budget: nothing is learned ("Random", EAS, section 4.2)."""
    return Selection({"kind": "random"}, {})
