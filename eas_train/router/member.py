"""A router that is a member of the bank: it reads that network's features, and only its classifier is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_train.data.fixed_views import fixed_views
from eas_train.data.splits import Images
from eas_train.progress import progress
from eas_train.recipe import RouterRecipe
from eas_train.router.calibrate import TrainedRouter, calibrated
from eas_train.router.data import RouterData
from eas_train.supernet.evaluate import features_of
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import Norm

STEPS = 100
"""Of L-BFGS, which takes few."""


def train_member(
    net: Supernet,
    architecture: Architecture,
    norm: Norm,
    data: RouterData,
    validation: Images,
    others: Images | None,
    recipe: RouterRecipe,
    outputs: int,
) -> TrainedRouter:
    """Fit the classifier by logistic regression, every superclass and every group weighing what the recipe says.

    Args:
        architecture, norm: the member, and how it normalises on the device.
        data: training images; validation, others: for temperature and threshold.
        outputs: superclasses, and perhaps "none".
    """
    device = data.class_of.device

    def features(images: Images) -> Tensor:
        shown, _ = fixed_views(images, 1, architecture.input_size or net.space.input_sizes[-1], device)
        return features_of(net, architecture, shown, norm)

    picked, weights = _drawn(data, recipe)
    x = features(data.images.take(picked))
    y = data.superclass_of[torch.from_numpy(data.images.targets[picked]).to(device)]
    classifier = _fitted(x, y, torch.from_numpy(weights).float().to(device), outputs, recipe.penalty)
    calibration = calibrated(
        lambda images: classifier(features(images)).cpu(), validation, others, recipe.accepted, outputs
    )
    tensors: Mapping[str, Any] = {
        f"classifier.{name}": (value.detach() / calibration.temperature).float().cpu().numpy()
        for name, value in classifier.named_parameters()
    }
    config = {"architecture": str(architecture), "threshold": calibration.threshold}
    return TrainedRouter(config, tensors, calibration.figures)


def _drawn(data: RouterData, recipe: RouterRecipe) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Which images are used, and what each weighs: groups by their shares, in a group every superclass the same."""
    rng, picked, weights, first = np.random.default_rng(recipe.seed), [], [], 0
    owner = data.superclass_of.cpu().numpy()[data.images.targets]
    for have, share in zip(data.groups, recipe.shares, strict=True):
        if have and share:
            mine = first + rng.permutation(have)[: recipe.images]
            _, which, counts = np.unique(owner[mine], return_inverse=True, return_counts=True)
            picked.append(mine)
            weights.append(share / len(counts) / counts[which])
        first += have
    total = np.concatenate(weights)
    return np.concatenate(picked), total / total.sum()


@torch.enable_grad()
def _fitted(x: Tensor, y: Tensor, weights: Tensor, outputs: int, penalty: float) -> torch.nn.Linear:
    """Logistic regression on features that count in their standard deviations."""
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-6)
    z = (x - mean) / scale
    made = torch.nn.Linear(x.shape[1], outputs, device=x.device)
    torch.nn.init.zeros_(made.weight)
    torch.nn.init.zeros_(made.bias)
    optimizer = torch.optim.LBFGS(made.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    with progress("router", 1) as update:

        def loss() -> float:
            optimizer.zero_grad()
            fit = (weights * F.cross_entropy(made(z), y, reduction="none")).sum()
            total = fit + penalty * made.weight.square().sum()
            total.backward()
            return float(total.detach())

        optimizer.step(loss)
        update(1, "")
    with torch.no_grad():
        made.weight.div_(scale)
        made.bias.sub_(made.weight @ mean)
    return made.requires_grad_(False)
