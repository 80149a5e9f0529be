"""The accuracy table of a bundle: what its selector picks at every budget, measured in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from eas_sdk.bank.bundle import Bundle
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_table
from eas_train.bundle import to_supernet
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images, Splits
from eas_train.recipe import BundleRecipe
from eas_train.supernet.evaluate import logits_of, within_superclass


def accuracy_table(
    bundle: Bundle, data: Splits[Images], settings: BundleRecipe, device: torch.device
) -> list[dict[str, Any]]:
    """Top-1 within the known superclass, and among all classes, at evenly spaced budgets, as means over superclasses.

    On validation and on test images.
    """
    space, count, selector = bundle.space, len(bundle.superclasses), load_selector(bundle)
    requests, fractions = [], np.linspace(0, 1, settings.budgets).tolist()
    for t, superclass in enumerate(bundle.superclasses):
        low, high = selector.madds_range(len(superclass.labels))
        requests += [Request(((t, 1),), len(superclass.labels), int(low + f * (high - low))) for f in fractions]
    picked = selector.select(requests)
    classes = np.array([r.classes for r in requests])
    madds = madds_table(space).total(space, space.encode(picked), classes).reshape(count, -1)
    accuracy = {
        name: _accuracies(bundle, picked, part, settings.views, device).reshape(2, count, -1)
        for name, part in (("validation", data.validation), ("test", data.test))
    }
    return [
        {
            "budget_fraction": f,
            "mean_madds": int(madds[:, i].mean()),
            **{
                f"{part}_{kind}": round(float(accuracy[part][k, :, i].mean()), 4)
                for part in ("validation", "test")
                for k, kind in enumerate(("top1", "top1_of_all"))
            },
            "test_top1_by_superclass": {
                s.name: round(float(v), 4) for s, v in zip(bundle.superclasses, accuracy["test"][0, :, i], strict=True)
            },
        }
        for i, f in enumerate(fractions)
    ]


def _accuracies(
    bundle: Bundle, picked: list[Architecture], data: Images, count: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """Top-1 of each architecture, with the bundle's own weights, on its own superclass's images: [2, architectures].

    First among the superclass's classes, then among all. `picked` is superclass-major.
    """
    net, statistics = to_supernet(bundle, device)
    images, targets = fixed_views(data, count, bundle.input_size, device)
    superclass_of = torch.from_numpy(superclass_of_class(data.superclasses)).to(device)
    owner = superclass_of[targets]
    each = len(picked) // len(data.superclasses)
    result = []
    for i, architecture in enumerate(picked):
        mine = owner == i // each
        logits = logits_of(net, architecture, images[mine], statistics.norm(architecture))
        right = within_superclass(logits, targets[mine], superclass_of), logits.argmax(1) == targets[mine]
        result.append([float(one.float().mean()) for one in right])
    made: npt.NDArray[np.float64] = np.array(result, np.float64).T
    return made
