"""A menu: the architectures that a search left, with a score for every superclass, and the best that fits is taken.

OFA-T searches for each superclass, OFA-V once for all (EAS, section 4); GreedyNAS, Cream and NSE end in lists as well.
One bundle kind serves them all. A union's score is the mean of its superclasses' scores, weighted like their classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.selector.protocol import Limit, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import IntArray, Space
from eas_sdk.space.tables import madds_table

MAX_ENTRIES = 65536


@dataclass(frozen=True, eq=False)
class MenuSelector:
    """Architectures and their scores.

    Attributes:
        space: the space that the bank can serve.
        architectures: [N].
        choices: [N, C], the same as integers.
        scores: float64 [T, N]: the higher, the better for a superclass; any scale.
    """

    space: Space
    architectures: tuple[Architecture, ...]
    choices: IntArray
    scores: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<MenuSelector: {len(self.architectures)} architectures>"

    def madds_range(self, classes: int) -> tuple[int, int]:
        """See `Selector.madds_range`."""
        madds = madds_table(self.space).total(self.space, self.choices, classes)
        return int(madds.min()), int(madds.max())

    def binds(self, limit: Limit, classes: int) -> bool:
        """See `Selector.binds`."""
        return bool((limit.table.total(self.space, self.choices, classes) > limit.most).any())

    def nearest(self, classes: int, limits: Sequence[Limit]) -> Architecture:
        """See `Selector.nearest`; of equals, the cheapest."""
        excess = np.ones(len(self.choices))
        for limit in limits:
            excess = np.maximum(excess, limit.table.total(self.space, self.choices, classes) / limit.most)
        madds = madds_table(self.space).total(self.space, self.choices, classes)
        return self.architectures[int(np.lexsort((madds, excess))[0])]

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """See `Selector.select`; a menu draws nothing, so that every seed gives the same. Of equals, the cheapest."""
        table, picked = madds_table(self.space), []
        for request in requests:
            madds = table.total(self.space, self.choices, request.classes)
            fits = madds <= request.madds
            for limit in request.limits:
                fits &= limit.table.total(self.space, self.choices, request.classes) <= limit.most
            total = sum(weight for _, weight in request.shares)
            score = sum(weight / total * self.scores[t] for t, weight in request.shares)
            allowed = np.flatnonzero(fits)
            picked.append(self.architectures[allowed[np.lexsort((madds[allowed], -np.asarray(score)[allowed]))[0]]])
        return picked


def load(
    space: Space, superclasses: int, config: Mapping[str, object], tensors: Mapping[str, np.ndarray]
) -> MenuSelector:
    """The selector of a bundle.

    Args:
        config: the bundle's "selector" section, {"kind": "menu"}; what else it holds is for people.
        tensors: "choices" [N, C] of an integer type (see `eas_sdk.space.protocol.Space`) and "scores" [T, N] of a
            floating type.

    Raises:
        BundleError: something is missing or malformed, or an architecture is beyond the bank.
    """
    width = len(space.options)
    choices, scores = tensors.get("choices"), tensors.get("scores")
    if choices is None or choices.dtype.kind != "i" or choices.ndim != 2 or choices.shape[1] != width:
        raise BundleError(f"a menu's 'choices' are integers of shape (N, {width}); got {_form(choices)}")
    count = len(choices)
    if not 1 <= count <= MAX_ENTRIES:
        raise BundleError(f"a menu has 1 to {MAX_ENTRIES} architectures; got {count}")
    if scores is None or scores.dtype.kind != "f" or scores.shape != (superclasses, count):
        raise BundleError(
            f"a menu's 'scores' are floating point of shape ({superclasses}, {count}); got {_form(scores)}"
        )
    if not np.isfinite(scores).all():
        raise BundleError("a menu's 'scores' are finite; they are not")
    options = np.array(space.options)
    if ((choices < 0) | (choices >= options)).any():
        raise BundleError(f"a menu's 'choices' are indices of options, of which there are {options.tolist()}")
    architectures = tuple(space.decode(row) for row in choices)
    try:
        for architecture in set(architectures):
            space.validate(architecture)
    except ArchitectureError as error:
        raise BundleError(f"a menu holds architectures that the bank can serve: {error}") from error
    return MenuSelector(space, architectures, space.encode(architectures), scores.astype(np.float64))


def _form(tensor: np.ndarray | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
