"""What a selector is: (task, budget) requests in, architectures out, never over budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import CostTable, madds_range


@dataclass(frozen=True, eq=False)
class Limit:
    """A bound on a cost.

    Attributes:
        table: what networks cost.
        most: what is allowed.
    """

    table: CostTable
    most: float


@dataclass(frozen=True)
class Request:
    """One deployment scenario.

    Attributes:
        shares: (index of a superclass, its weight), which condition the selector; weights need not sum to 1.
        classes: rows of the classifier, which the budget pays for too.
        madds: the most multiply-adds allowed; at least those of the smallest network.
        limits: on other costs, met by the smallest network.
    """

    shares: tuple[tuple[int, float], ...]
    classes: int
    madds: int
    limits: tuple[Limit, ...] = ()


class Selector(Protocol):
    """Picks architectures. The generator is one; a menu that a search left is another.

    Attributes:
        space: the space that the bank can serve.
    """

    @property
    def space(self) -> Space: ...

    def madds_range(self, classes: int) -> tuple[int, int]:
        """Multiply-adds of its smallest and of its largest network, with a classifier of so many classes."""
        ...

    def binds(self, limit: Limit, classes: int) -> bool:
        """Whether some network may exceed a limit."""
        ...

    def nearest(self, classes: int, limits: Sequence[Limit]) -> Architecture:
        """The network that exceeds limits least; where one meets them all, such a one."""
        ...

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """One architecture a request, each within its multiply-adds and limits; equal seeds give equal answers.

        Some network must meet them (see `nearest`).
        """
        ...


class AnyMember:
    """What selectors share that may pick any member of the space: the smallest meets whatever can be met."""

    space: Space

    def madds_range(self, classes: int) -> tuple[int, int]:
        """See `Selector.madds_range`."""
        return madds_range(self.space, classes)

    def binds(self, limit: Limit, classes: int) -> bool:
        """See `Selector.binds`."""
        largest = self.space.encode([self.space.largest])
        return not self.space.nested or limit.table.total(self.space, largest, classes)[0] > limit.most

    def nearest(self, classes: int, limits: Sequence[Limit]) -> Architecture:
        """See `Selector.nearest`."""
        return self.space.smallest
