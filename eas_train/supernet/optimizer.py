"""Which weights a training moves, and at what rate."""

from __future__ import annotations

import math
from typing import Any

import torch

from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase, SupernetRecipe

STILL = ("gamma", "beta")
"""What learned statistics say as well."""


def new_optimizer(net: Supernet, recipe: SupernetRecipe) -> torch.optim.Optimizer:
    """Of all that the recipe trains; no weight decay on batch-norm and biases (OFA).

    Learned statistics and adapters take rates of their own (see `set_rate`); the gamma and beta beside learned
    statistics, which say the same, rest.
    """
    named = [(name.replace("-", "."), p) for name, p in net.named_parameters()]
    own = [(name.removeprefix("tensors."), p) for name, p in named if name.startswith("tensors.")]
    learned = [p for name, p in named if name.startswith("learned.")]
    adapters = [p for name, p in named if name.startswith("adapters.")]
    trained = [
        (name, p)
        for name, p in own
        if not name.startswith(recipe.frozen) and not (net.learned is not None and name.endswith(STILL))
    ]
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for parameter in [*(p for _, p in trained), *learned, *adapters]:
        parameter.requires_grad_(True)
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in trained if name.endswith("weight")], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in trained if not name.endswith("weight")], "weight_decay": 0.0},
        {"params": learned, "weight_decay": 0.0, "times": recipe.statistics_rate},
        {"params": adapters, "weight_decay": 0.0, "times": recipe.adapter_rate},
    ]
    groups = [{"times": 1.0} | group for group in groups if group["params"]]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=0.0, betas=(recipe.momentum, 0.99))
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)


def sgd(net: Supernet, *, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """SGD of all weights; see `new_optimizer`."""
    named = list(net.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not name.endswith("weight")], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of all groups, of learned statistics and adapters in multiples of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("times", 1.0)  # a checkpoint from before there were such has none


def learning_rate(phase: Phase, at: int) -> float:
    """Cosine from the phase's rate to zero, after a linear warm-up."""
    if at < phase.warmup_steps:
        return phase.learning_rate * (at + 1) / phase.warmup_steps
    t = (at - phase.warmup_steps) / max(phase.steps - phase.warmup_steps, 1)
    return 0.5 * phase.learning_rate * (1 + math.cos(math.pi * t))
