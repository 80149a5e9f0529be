"""What every member of a space costs, as tables over its parts: exact, and for thousands of members at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.cost import madds, peak_activation_bytes, total_weight_elements
from eas_sdk.graph.memory import MemoryModel
from eas_sdk.space.protocol import IntArray, Numbers, Part, Space

LOGIT_BYTES = 4


class CostTable(Protocol):
    """A cost of which no choice of a larger option makes less."""

    def total(self, space: Space, choices: IntArray, classes: int | IntArray) -> Numbers:
        """Cost [...] of choices [..., C] with classifiers of so many classes."""
        ...


@dataclass(frozen=True, eq=False)
class SumTable:
    """A cost that is a sum over the parts.

    Attributes:
        base: what every network costs, its parts and classifier aside.
        per_class: one row of the classifier.
        parts: [1 + parts] int64 or float64, in the order of `Space.every_part`; the first, of what is absent, is 0.
    """

    base: float
    per_class: float
    parts: Numbers

    def total(self, space: Space, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`; int64 where the table is."""
        return self.of_parts(space.parts(choices), classes)

    def of_parts(self, parts: IntArray, classes: int | IntArray) -> Numbers:
        """Cost [...] of networks of such parts [..., P] (see `Space.parts`)."""
        rest = self.base + self.per_class * np.asarray(classes, np.int64)
        total: Numbers = rest + self.parts.take(parts).sum(-1)
        return total


@dataclass(frozen=True, eq=False)
class PeakTable:
    """A cost that is the greatest over the parts and the rest.

    Attributes:
        parts: [1 + parts] int64, in the order of `Space.every_part`; the first, of what is absent, is 0.
        classifier, per_class: the classifier's own cost without classes, and what each of them adds.
    """

    parts: npt.NDArray[np.int64]
    classifier: int = 0
    per_class: int = 0

    def total(self, space: Space, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`."""
        most = self.parts[space.parts(choices)].max(-1)
        last = self.classifier + self.per_class * np.asarray(classes, np.int64)
        total: Numbers = np.maximum(most, last)
        return total


@dataclass(frozen=True, eq=False)
class MemoryTable:
    """Bytes of weights and peak activations together, as an engine holds them."""

    model: MemoryModel
    weights: SumTable
    activations: PeakTable

    def total(self, space: Space, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`; equal to `memory_bytes(space.structure(...))`."""
        weights, activations = (t.total(space, choices, classes) for t in (self.weights, self.activations))
        exact: Numbers = self.model.bytes(weights, activations)  # type: ignore[arg-type, assignment]
        total: Numbers = np.rint(exact)
        return total


def part_costs(space: Space, measure: Callable[[Part], float], dtype: npt.DTypeLike) -> Numbers:
    """[1 + parts]: what `measure` says of every part, 0 of none."""
    costs = np.array([0, *map(measure, space.every_part())], dtype)
    costs.setflags(write=False)
    return costs


@functools.lru_cache(maxsize=32)
def madds_table(space: Space) -> SumTable:
    """Multiply-adds of a space, counted on its nodes: equal to `cost(space.structure(...)).madds`."""
    parts = part_costs(space, lambda part: sum(madds(node) for node in part.nodes), np.int64)
    return SumTable(0, madds(space.classifier(1)), parts)


@functools.lru_cache(maxsize=32)
def memory_table(space: Space, model: MemoryModel) -> MemoryTable:
    """Memory of a space's networks, counted on their nodes."""
    last = [space.classifier(1)]
    weights = part_costs(space, lambda part: 4 * total_weight_elements(part.nodes), np.int64)
    peaks = part_costs(space, lambda p: p.held_bytes + peak_activation_bytes(p.nodes, p.kept), np.int64)
    return MemoryTable(
        model,
        SumTable(0, 4 * total_weight_elements(last), weights),
        PeakTable(peaks.astype(np.int64), peak_activation_bytes(last) - LOGIT_BYTES, LOGIT_BYTES),
    )


@functools.lru_cache(maxsize=256)
def madds_range(space: Space, classes: int) -> tuple[int, int]:
    """Multiply-adds of the smallest and of the largest member, with a classifier of so many classes."""
    ends = space.encode([space.smallest, space.largest])
    low, high = madds_table(space).total(space, ends, classes).tolist()
    return low, high
