"""Menus of given architectures, scored as the device runs them: what Cream's board becomes, and what searches find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Architecture
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.generator.measure import Shown, measure
from eas_train.recipe import BoardRecipe
from eas_train.selection import Given, Selection

CACHE = "menu.json"


def select(given: Given) -> Selection:
    """The architectures that the supernet's training left, as a menu.

    Raises:
        TrainingError: it left none.
    """
    if not given.trained.left:
        raise TrainingError(
            "a board is what a strategy leaves: train with one that keeps architectures, such as "
            'strategy = { kind = "cream" }, or pick by another selector'
        )
    return as_menu(given, given.trained.left, given.recipe.board, {})


def as_menu(
    given: Given, architectures: Sequence[Architecture], recipe: BoardRecipe, figures: dict[str, float]
) -> Selection:
    """A menu of architectures, with their top-1 accuracies on validation drawings as scores."""
    net, data = given.net, given.validation
    listed = sorted(set(architectures))
    device = next(net.parameters()).device
    images, targets = fixed_views(data, recipe.views, net.space.input_sizes[-1], device)
    drawing = torch.arange(len(targets), device=device) // recipe.views
    owners = superclass_of_class(data.superclasses)
    superclass_of = torch.from_numpy(owners).to(device)
    scores, seconds = measure(
        net,
        given.statistics,
        listed,
        Shown(images, targets, drawing),
        superclass_of,
        given.folder / CACHE,
        fingerprint=given.fingerprint,
    )
    owner = owners[data.targets]
    by_superclass = np.stack([scores[:, owner == t].mean(1) for t in range(len(data.superclasses))])
    if recipe.per == "all":
        by_superclass = np.repeat(by_superclass.mean(0, keepdims=True), len(by_superclass), 0)
    trained = given.trained
    counts = {
        "optimised_images": trained.optimised_images,
        "evaluated_images": trained.evaluated_images,
        "corrected_optimisations": round(trained.corrected_optimisations),
        "listed": len(listed),
    }
    tensors = {"choices": net.space.encode(listed), "scores": by_superclass.astype(np.float32)}
    return Selection({"kind": "menu"}, tensors, {**figures, **counts}, seconds)
