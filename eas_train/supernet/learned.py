"""Batch-norm statistics as a linear model of the architecture that is trained along with the weights.

A published network knows its own statistics far better than a few thousand photos can tell them, and a smaller network
that is cut out of it, or sees smaller images, needs others. So the statistics of every sub-network are those of the
largest, moved by what its features say (see `eas_train.statistics.model`), and what they say is learned by gradient:
networks are trained with the very statistics that they have on the device, and the largest keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_train.supernet.norm import Known

HALF_LOG = 2.0
"""A log variance counts half, so that a coefficient turns a scale by as much as a mean in standard deviations."""


@dataclass(frozen=True, eq=False)
class LearnedNorm(Known):
    """How one architecture normalises: of each node, [C] means and log variances with epsilon."""

    moved: Mapping[str, Tensor]
    epsilon: float

    def statistics(self, name: str, channels: int) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.moved[name][:, :channels]
        # No variance is negative; slicing clamps alike.
        return mean, log_variance.exp().clamp(min=self.epsilon) - self.epsilon


class LearnedStatistics(nn.Module):
    """The statistics of all members of a space.

    Parameters are named after nodes, "<node>" with dashes for dots: float32 [features in the layer's scope, 2, C], what
    each feature that differs from the largest network's adds to mean and log variance, in `unit`s.
    """

    largest: Tensor

    def __init__(self, space: Space, statistics: Mapping[str, Tensor]) -> None:
        """As they begin: those of the largest network for all.

        Args:
            statistics: node -> [2, C] mean and variance of the largest network.
        """
        super().__init__()
        self.space, self.names = space, tuple(statistics)
        self.register_buffer("largest", self._features(space.largest))
        self.coefficients = nn.ParameterDict()
        for name, (mean, variance) in statistics.items():
            own, upstream = space.scope(name)
            scope = torch.tensor(sorted({*own, *upstream}), dtype=torch.long)
            base = torch.stack([mean, torch.log(variance + space.epsilon)]).float()
            unit = torch.stack([torch.sqrt(variance + space.epsilon), torch.full_like(variance, HALF_LOG)]).float()
            for kind, value in (("scope", scope), ("base", base), ("unit", unit)):
                self.register_buffer(f"{kind}:{_key(name)}", value)
            self.coefficients[_key(name)] = nn.Parameter(torch.zeros(len(scope), *base.shape))

    def _features(self, architecture: Architecture) -> Tensor:
        return torch.from_numpy(self.space.features_of(self.space.encode([architecture]))[0]).float()

    def scope(self, name: str) -> Tensor:
        """Features that may matter to a node, as indices."""
        found: Tensor = self.get_buffer(f"scope:{_key(name)}")
        return found

    def base(self, name: str) -> Tensor:
        """[2, C] mean and log variance (with epsilon) of the largest network."""
        found: Tensor = self.get_buffer(f"base:{_key(name)}")
        return found

    def unit(self, name: str) -> Tensor:
        """[2, C]: what a coefficient of one adds."""
        found: Tensor = self.get_buffer(f"unit:{_key(name)}")
        return found

    def coefficient(self, name: str) -> Tensor:
        """[features in `scope`, 2, C] of a node, in units."""
        found: Tensor = self.coefficients[_key(name)]
        return found

    @torch.no_grad()
    def begin(self, name: str, coefficients: Tensor, features: list[int]) -> None:
        """Let a node begin with recorded coefficients [len(features), 2, C]; those beyond its scope are passed over."""
        place = {feature: i for i, feature in enumerate(self.scope(name).tolist())}
        for feature, row in zip(features, coefficients / self.unit(name), strict=True):
            if feature in place:
                self.coefficient(name)[place[feature]] = row

    def norm(self, architecture: Architecture) -> LearnedNorm:
        """How an architecture normalises; differentiable in the coefficients."""
        differ = self._features(architecture).to(self.largest) - self.largest
        moved = {
            name: self.base(name)
            + torch.tensordot(differ[self.scope(name)], self.coefficient(name), 1) * self.unit(name)
            for name in self.names
        }
        return LearnedNorm(moved, self.space.epsilon)

    def of(self, architecture: Architecture) -> dict[str, Tensor]:
        """Node -> [2, C] mean and variance of an architecture."""
        norm = self.norm(architecture)
        return {name: torch.stack(norm.statistics(name, self.base(name).shape[1])) for name in self.names}


def _key(name: str) -> str:
    return name.replace(".", "-")
