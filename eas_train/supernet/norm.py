"""How batch-norm normalises a sub-network, as values passed to the supernet's forward.

A norm is any callable (node name, input N x C x H x W, gamma [C], beta [C]) -> N x C x H x W. One that knows its
statistics beforehand is a scale and a shift, which the convolution before it takes into its weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Norm(Protocol):
    """Normalises the output of one convolution."""

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor: ...


class Known(ABC):
    """A norm whose statistics do not depend on what it normalises."""

    epsilon: float

    @abstractmethod
    def statistics(self, name: str, channels: int) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] of the first channels of a node."""

    def affine(self, name: str, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """What it multiplies by and adds, [C] each; differentiable in all that it is made of."""
        mean, variance = self.statistics(name, len(gamma))
        scale = gamma * torch.rsqrt(variance + self.epsilon)
        return scale, beta - mean * scale

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        scale, shift = self.affine(name, gamma, beta)
        return x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)


@dataclass(frozen=True)
class BatchStatistics:
    """Normalises with the mean and variance of the batch itself: training."""

    epsilon: float

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=self.epsilon)


@dataclass
class Recorder:
    """Normalises with the batch's statistics and accumulates their sample-weighted mean, as OFA does.

    `sums[name]` holds [2, C] float64: mean and biased variance, times the number of images seen.
    """

    epsilon: float
    sums: dict[str, Tensor] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        update = torch.stack([mean, variance]).double() * x.shape[0]
        self.sums[name] = self.sums[name] + update if name in self.sums else update
        self.seen[name] = self.seen.get(name, 0) + x.shape[0]
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=self.epsilon)

    def statistics(self) -> dict[str, Tensor]:
        """Mean and variance by node: [2, C] float32."""
        return {name: (total / self.seen[name]).float() for name, total in self.sums.items()}


def normalised(x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Batch-norm with given statistics [C], as `FixedStatistics`, and differentiable in them."""
    scale = gamma * torch.rsqrt(variance + epsilon)
    return x * scale.view(1, -1, 1, 1) + (beta - mean * scale).view(1, -1, 1, 1)


@dataclass(frozen=True)
class FixedStatistics(Known):
    """Normalises with given statistics: `lookup(name)` -> [2, C] (mean, variance), of which a prefix is used."""

    lookup: Callable[[str], Tensor]
    epsilon: float

    def statistics(self, name: str, channels: int) -> tuple[Tensor, Tensor]:
        mean, variance = self.lookup(name)[:, :channels]
        return mean, variance
