"""A classifier for features that stand still: what a supernet begins with on images of one's own.

Sub-networks see views of training images, and one logistic regression is fitted to the features of all of them, since
they share a classifier. It takes seconds, and with few images of a class little is left for training to gain.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_train.data.feed import AnyAugmentation, Asked, feed
from eas_train.data.order import Epochs
from eas_train.data.splits import Images
from eas_train.diagnosis.members import ends_and_middle
from eas_train.progress import progress
from eas_train.supernet.evaluate import features_of
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import ClassifierRecipe

PART = 64
"""Views that are made and seen at a time."""
DECAYS = (1e-1, 1e-2, 1e-3, 1e-4)
"""Weights of the squared norm that are tried."""
HELD_OUT = 0.2
"""Of the images, to choose among them."""
ITERATIONS = 100


def begin_classifier(
    net: Supernet, data: Images, recipe: ClassifierRecipe, augmentation: AnyAugmentation, device: torch.device
) -> float:
    """Fit the classifier of a supernet, with nothing else changed.

    Args:
        data: training images; some of them, where there are many.

    Returns:
        The decay that was chosen, of `DECAYS`.
    """
    count = min(recipe.images, len(data) * recipe.views)
    order = Epochs(len(data), recipe.seed).batch(0, count)  # every image before any twice
    side = net.space.input_sizes[-1]
    asked = [Asked(order[i : i + PART], recipe.seed + i, side) for i in range(0, count, PART)]
    architectures = seen_by(net.space)
    features: list[list[Tensor]] = [[] for _ in architectures]
    targets = []
    with progress("classifier", count) as update:
        for done, batch in enumerate(feed(data, asked, augmentation, device), start=1):
            for made, architecture in zip(features, architectures, strict=True):
                made.append(features_of(net, architecture, batch.images))
            targets.append(batch.targets)
            update(min(done * PART, count), "")
    held_out = np.isin(order, Epochs(len(data), recipe.seed + 1).batch(0, max(1, round(HELD_OUT * len(data)))))
    each = torch.cat(targets)
    seen = torch.stack([torch.cat(made) for made in features])  # [architectures, views, F]
    kept = torch.from_numpy(~held_out).to(device)
    tried = {}
    for decay in DECAYS if kept.any() and not kept.all() else DECAYS[1:2]:
        weight, bias = fitted(seen[:, kept], each[kept], net.classes, decay)
        right = F.linear(seen[:, ~kept], weight, bias).argmax(-1) == each[~kept]
        tried[decay] = float(right.float().mean()) if right.numel() else 0.0
    best = max(tried, key=lambda decay: tried[decay])
    weight, bias = fitted(seen, each, net.classes, best)
    with torch.no_grad():
        net.tensor("classifier.weight").copy_(weight)
        net.tensor("classifier.bias").copy_(bias)
    return best


def seen_by(space: Space) -> list[Architecture]:
    """The sub-networks whose features are fitted: the ends and the middle, and the largest at every input size."""
    sizes = [dataclasses.replace(space.largest, input_size=s) for s in space.input_sizes if space.largest.input_size]
    return list(dict.fromkeys([*ends_and_middle(space).values(), *sizes]))


def fitted(features: Tensor, targets: Tensor, classes: int, decay: float) -> tuple[Tensor, Tensor]:
    """Weight [C, F] and bias [C] of a logistic regression over the features of all networks, each counted alike.

    Args:
        features: [networks, N, F]; targets: [N].
        decay: weight of the squared norm, in units of the features' own spread.
    """
    centre, spread = features.mean((0, 1)), features.std().clamp(min=1e-6)
    inputs = ((features - centre) / spread).flatten(0, 1)
    wanted = targets.repeat(len(features))
    weight = inputs.new_zeros(classes, inputs.shape[1], requires_grad=True)
    bias = inputs.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(inputs, weight, bias), wanted) + decay * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    scaled = weight.detach() / spread
    return scaled, bias.detach() - scaled @ centre
