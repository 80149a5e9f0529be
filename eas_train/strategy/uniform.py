"""Single-path one-shot training: sub-networks are drawn evenly (Guo et al. 2020). Other strategies build on it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_train.strategy.draw import draw
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase
from eas_train.supernet.resize import images_for


@dataclass(frozen=True, eq=False)
class Moment:
    """One forward pass of a training.

    Attributes:
        step: from 0; learning_rate: its.
        architecture: which sub-network; images, mask: its batch, and the logits that count (see loss.py).
        logits: its logits, with their gradients.
        side: of the images, where all networks of the phase take the same, not their own.
    """

    step: int
    learning_rate: float
    architecture: Architecture
    images: Tensor
    mask: Tensor
    logits: Tensor
    side: int | None = None


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a sub-network is to learn beside the labels.

    Attributes:
        logits: of the teacher; weight: of the distillation loss, which is added to that of the labels.
        features: of the teacher, what its classifier sees; feature_weight: of the distance to them.
    """

    logits: Tensor
    weight: float
    features: Tensor | None = None
    feature_weight: float = 0.0


class Uniform:
    """Draws evenly from a phase's choices, and teaches nothing of its own."""

    def __init__(self, net: Supernet) -> None:
        self.net = net
        self.optimised_images = self.evaluated_images = 0

    def draw(self, phase: Phase, rng: random.Random, step: int) -> Architecture:
        """The next sub-network to train."""
        return draw(self.net.space, phase, rng)

    def lesson(self, moment: Moment) -> Lesson | None:
        """What the sub-network learns from a teacher; None: nothing."""
        return None

    def after(self, moment: Moment) -> None:
        """Called once the weights have changed, with the last sub-network of the step."""

    @property
    def finished(self) -> bool:
        """Whether more training would not help."""
        return False

    def counted(self, images: int) -> None:
        """So many images went through whole optimisation steps."""
        self.optimised_images += images

    def left(self) -> list[tuple[Architecture, float]]:
        """Promising architectures that the training met, best first, with their scores (higher is better)."""
        return []

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"optimised_images": self.optimised_images, "evaluated_images": self.evaluated_images}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.optimised_images, self.evaluated_images = state["optimised_images"], state["evaluated_images"]


def teacher_logits(net: Supernet, images: Tensor, architecture: Architecture, side: int | None = None) -> Tensor:
    """A teacher's answer, without gradients, to images at its own size, or at `side`."""
    with torch.no_grad():
        logits: Tensor = net(images_for(net.space, architecture, images, side), architecture)
    return logits
