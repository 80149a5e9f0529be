"""Random architectures within the budget: the baseline that a selector has to beat (EAS, section 4, "Random")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.selector.protocol import AnyMember, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import IntArray, Space
from eas_sdk.space.tables import madds_range, madds_table

DRAWN = 512
"""Architectures for each request."""

UNUSED = 0.05
"""How much less than the costliest that fits the chosen one may cost, as a part of the range: as the generator's."""


@dataclass(frozen=True, eq=False)
class RandomSelector(AnyMember):
    """Draws architectures, and takes the first of those that come close to the budget.

    Attributes:
        space: the space that the bank can serve.
    """

    space: Space

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """See `Selector.select`. Requests that differ draw other architectures, whatever stands beside them."""
        space, table, picked = self.space, madds_table(self.space), []
        for request in requests:
            drawn = self._drawn((seed, request.madds, request.classes, *(t for t, _ in request.shares)))
            madds = table.total(space, drawn, request.classes)
            fits = madds <= request.madds
            for limit in request.limits:
                fits &= limit.table.total(space, drawn, request.classes) <= limit.most
            low, high = madds_range(space, request.classes)
            least = madds[fits].max() - UNUSED * (high - low)  # the last one drawn is the smallest, which fits
            picked.append(space.decode(drawn[int((fits & (madds >= least)).argmax())]))
        return picked

    def _drawn(self, seed: tuple[int, ...]) -> IntArray:
        """[DRAWN + 1, C], the smallest last."""
        count = self.space.random_numbers
        # Raw words of PCG64 are the same in every numpy release; Generator's methods need not be.
        raw = np.random.PCG64(seed).random_raw(DRAWN * count)
        uniform: npt.NDArray[np.float64] = ((raw >> np.uint64(40)) * 2.0**-24).reshape(DRAWN, count)
        return np.concatenate([self.space.members(uniform), self.space.encode([self.space.smallest])])


def load(
    space: Space, superclasses: int, config: Mapping[str, object], tensors: Mapping[str, np.ndarray]
) -> RandomSelector:
    """The selector of a bundle, whose "selector" section is {"kind": "random"}."""
    return RandomSelector(space)
