"""What a selector is: (task, budget) requests in, architectures out, never over budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import CostTable


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
    """Picks architectures. The generator is one; a menu that a search left is another."""

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """One architecture a request, each within its multiply-adds and limits; equal seeds give equal answers."""
        ...
