"""Temperatures: what logits are divided by to be probabilities that one can go by (Guo et al. 2017)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.data.fixed_views import fixed_views
from eas_train.data.splits import Images, evenly
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.evaluate import logits_of
from eas_train.supernet.model import Supernet
from eas_train.supernet.resize import images_for
from eas_train.supernet.teacher import Teacher

TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5), 161))
MOST_IMAGES = 1000
"""More say nothing new of one number."""


def best_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature of the least cross-entropy, on a grid from 0.2 to 5.

    Args:
        logits: [N, C]; targets: [N] classes, or [N, C] probabilities.
    """
    losses = [float(F.cross_entropy(logits / t, targets)) for t in TEMPERATURES.tolist()]
    return float(TEMPERATURES[int(np.argmin(losses))])


def temperatures(
    net: Supernet,
    statistics: StatisticsModel,
    validation: Images,
    device: torch.device,
    *,
    teacher: Teacher | None = None,
    teacher_temperature: float = 1.0,
) -> tuple[float, ...]:
    """Of each input size of an elastic space, by its largest network on validation images: what costs less is less
    sure. Of other spaces that of the largest network.

    Args:
        teacher: whose probabilities are the truth where the images' labels are its own answers.
        teacher_temperature: what makes its logits probabilities.
    """
    space = net.space
    validation = evenly(validation, MOST_IMAGES)
    images, targets = fixed_views(validation, 1, space.input_sizes[-1], device)
    if teacher is not None:
        answers = torch.cat([teacher(part) for part in images.split(64)])
        targets = (answers / teacher_temperature).softmax(1)
    found = []
    for size in space.input_sizes:
        largest = space.largest
        if isinstance(space, ElasticSpace) and len(space.input_sizes) > 1:
            largest = dataclasses.replace(space.largest, input_size=size)
        seen = images_for(space, largest, images)
        logits = logits_of(net, largest, seen, statistics.norm(largest))
        found.append(round(best_temperature(logits.cpu(), targets.cpu()), 3))
    return tuple(found)
