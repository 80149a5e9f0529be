"""How batch-norm normalises a sub-network, as values passed to the supernet's forward.

A norm is any callable (node name, input N x C x H x W, gamma [C], beta [C]) -> N x C x H x W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Norm(Protocol):
    """Normalises the output of one convolution."""

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor: ...


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
class FixedStatistics:
    """Normalises with given statistics: `lookup(name)` -> [2, C] (mean, variance), of which a prefix is used."""

    lookup: Callable[[str], Tensor]
    epsilon: float

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = self.lookup(name)[:, : x.shape[1]]
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=self.epsilon)
