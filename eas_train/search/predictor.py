"""Once-for-all's accuracy predictor: a multilayer perceptron on the one-hot code of an architecture (Cai et al. 2020).

The code is that of the public source: for each slot its kernel and its expansion ratio one-hot, zeros where there is no
block. Sizes and optimiser are those of EAS, section B.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eas_sdk.space.elastic.gates import active_slots
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import IntArray, Space
from eas_train.recipe import SearchRecipe


def one_hot(space: Space, choices: IntArray) -> npt.NDArray[np.float32]:
    """The code of choices [..., C]: the options of kernels, ratios and the input size that leave a choice, and whether
    there is a block where the rest leaves none; in other spaces their features."""
    if not isinstance(space, ElasticSpace):
        return space.features_of(choices).astype(np.float32)
    layout = space.layout
    units, slots = layout.units, layout.slots
    active = active_slots(space, choices[..., :units])
    there = np.concatenate([active, active, np.ones((*choices.shape[:-1], 1), np.bool_)], -1)
    told = np.asarray(space.options[units:]) > 1
    may_lack = layout.block_of >= space.depth_values[layout.unit_of, 0]
    told[:slots] |= may_lack & ~told[slots : 2 * slots]
    columns = np.flatnonzero(told)
    parts = [
        (choices[..., units + c, None] == np.arange(space.options[units + c])) & there[..., c, None] for c in columns
    ]
    return np.concatenate(parts, -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class AccuracyPredictor:
    """What accuracy an architecture is expected to have.

    Attributes:
        space: whose architectures.
        net: [N, code] -> [N, 1].
    """

    space: Space
    net: nn.Sequential

    @torch.no_grad()
    def __call__(self, choices: IntArray) -> npt.NDArray[np.float64]:
        """[N] expected accuracies, on the scale of the fitted ones, of choices [N, C]."""
        made: npt.NDArray[np.float64] = self.net(torch.from_numpy(one_hot(self.space, choices)))[:, 0].double().numpy()
        return made


def fit(space: Space, choices: IntArray, accuracy: npt.NDArray[np.float64], recipe: SearchRecipe) -> AccuracyPredictor:
    """Fit to measured sub-networks, on the CPU: choices [N, C] and accuracies [N] in [0, 1]."""
    x = torch.from_numpy(one_hot(space, choices))
    y = torch.from_numpy(accuracy).float().unsqueeze(1)
    torch.manual_seed(recipe.seed)
    sizes = [x.shape[1], *recipe.hidden]
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(sizes):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    last = nn.Linear(sizes[-1], 1)
    nn.init.constant_(last.bias, float(y.mean()))
    net = nn.Sequential(*layers, last)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
    )
    batches = math.ceil(len(x) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * batches)
    for _ in range(recipe.epochs):
        for index in torch.randperm(len(x)).split(recipe.batch_size):
            _step(net, optimizer, x[index], y[index])
            schedule.step()
    return AccuracyPredictor(space, net.eval())


def _step(net: nn.Sequential, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    F.mse_loss(net(x), y).backward()
    optimizer.step()
