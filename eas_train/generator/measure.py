"""Measuring sub-networks as the device would run them, for the predictor and for evaluations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Architecture
from eas_train.clock import clock
from eas_train.data.feed import AnyAugmentation, Asked, feed
from eas_train.data.fixed_views import fixed_views
from eas_train.data.order import Epochs
from eas_train.data.splits import Images
from eas_train.progress import progress
from eas_train.recipe import PredictorRecipe
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.evaluate import logits_of, within_superclass
from eas_train.supernet.model import Supernet

PART = 256
"""Training images that are augmented at a time."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Images that networks are measured on.

    Attributes:
        images: uint8 N x 3 x S x S; targets: [N], class indices.
        drawing: [N], which drawing each image shows, in 0..D-1, each at least once.
    """

    images: Tensor
    targets: Tensor
    drawing: Tensor


def shown_images(
    validation: Images,
    train: Images,
    settings: PredictorRecipe,
    size: int,
    augmentation: AnyAugmentation,
    device: torch.device,
) -> tuple[Shown, npt.NDArray[np.bool_]]:
    """What networks are scored on, and whether each drawing was trained on: views of all validation drawings, then
    augmented training images, each counted as a drawing of its own.

    Args:
        size: side of the images, in pixels.
    """
    images, targets = fixed_views(validation, settings.views, size, device)
    drawing = torch.arange(len(targets), device=device) // settings.views
    more = settings.training_images
    if more:
        order = Epochs(len(train), 0).batch(0, more)  # every image before any twice
        parts = [Asked(order[i : i + PART], i, size) for i in range(0, more, PART)]
        made = [
            (batch.images.mul(255).round().byte(), batch.targets) for batch in feed(train, parts, augmentation, device)
        ]
        images = torch.cat([images, *(part for part, _ in made)]).contiguous(memory_format=torch.channels_last)
        targets = torch.cat([targets, *(part for _, part in made)])
        drawing = torch.cat([drawing, len(validation) + torch.arange(more, device=device)])
    return Shown(images, targets, drawing), np.arange(len(validation) + more) >= len(validation)


@torch.no_grad()
def drawing_scores(logits: Tensor, shown: Shown, superclass_of: Tensor) -> list[float]:
    """The share of each drawing's images that are recognised among the classes of its superclass: [D] in [0, 1].

    Neither the probability of the right class nor its logarithm is used: they differ more between networks, but by
    how confident a network is, and tell less about which one is right on other drawings.
    """
    return shares(within_superclass(logits, shown.targets, superclass_of), shown)


def shares(right: Tensor, shown: Shown) -> list[float]:
    """The share of each drawing's images that are right, [D] in [0, 1], from bool [N]."""
    count = torch.bincount(shown.drawing)
    total = torch.zeros(len(count), device=right.device).index_add_(0, shown.drawing, right.float())
    scores: list[float] = (total / count).tolist()
    return scores


def measure(
    net: Supernet,
    statistics: StatisticsModel,
    architectures: Sequence[Architecture],
    shown: Shown,
    superclass_of: Tensor,
    cache: Path,
    *,
    fingerprint: str,
) -> tuple[npt.NDArray[np.float64], float]:
    """Scores [N, D] of sub-networks (see `drawing_scores`), and the seconds that took; `cache` keeps what was measured.

    Raises:
        TrainingError: the cache is damaged or belongs to another training.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    known, before = _read(cache, fingerprint) if cache.exists() else ({}, 0.0)
    now = clock(shown.images.device)
    began = now() - before
    missing = [a for a in dict.fromkeys(architectures) if str(a) not in known]
    with progress("measuring sub-networks", len(missing)) as update:
        for i, architecture in enumerate(missing, 1):
            logits = logits_of(net, architecture, shown.images, statistics.norm(architecture))
            known[str(architecture)] = [round(v, 4) for v in drawing_scores(logits, shown, superclass_of)]
            if i % 20 == 0 or i == len(missing):
                before = now() - began
                state = {"fingerprint": fingerprint, "seconds": before, "scores": known}
                write_atomically(cache, [json.dumps(state).encode()])
            update(i, "")
    return np.array([known[str(a)] for a in architectures]), before


def _read(cache: Path, fingerprint: str) -> tuple[dict[str, list[float]], float]:
    try:
        data = json.loads(cache.read_bytes())
        owner, scores, seconds = data["fingerprint"], data["scores"], data["seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{cache} is damaged ({error!r}); delete it to measure afresh") from error
    if owner != fingerprint:
        raise TrainingError(f"{cache} belongs to another training; delete it to measure afresh")
    return dict(scores), float(seconds)
