"""The strategies by the kind in a recipe."""

from __future__ import annotations

from eas_sdk.errors import TrainingError
from eas_train.strategy.cream import Cream
from eas_train.strategy.greedy import Greedy
from eas_train.strategy.recipe import CreamRecipe, GreedyRecipe, NseRecipe, UniformRecipe
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Uniform
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import SupernetRecipe


def strategy(recipe: SupernetRecipe, net: Supernet, trial: Trial | None) -> Uniform:
    """The strategy of a recipe.

    Args:
        trial: validation drawings; needed by all but the even one.
    """
    chosen = recipe.strategy
    match chosen:
        case GreedyRecipe():
            assert trial is not None
            return Greedy(chosen, net, trial, recipe.total_steps, recipe.seed)
        case CreamRecipe():
            assert trial is not None
            return Cream(chosen, net, trial, recipe.seed)
        case NseRecipe():
            raise TrainingError("NSE trains in rounds over spaces of its own: see eas_train.nse.rounds.evolve_space")
        case UniformRecipe():
            return Uniform(net)
