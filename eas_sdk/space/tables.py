"""What every member of a space costs, as tables over its choices: exact, and for thousands of members at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.cost import madds, peak_activation_bytes, total_weight_elements
from eas_sdk.graph.memory import MemoryModel
from eas_sdk.graph.nodes import Node
from eas_sdk.space.choices import IntArray, active_slots, encode
from eas_sdk.space.elastic import ElasticSpace
from eas_sdk.space.structure import every_block, structure

Numbers = npt.NDArray[np.int64] | npt.NDArray[np.float64]


LOGIT_BYTES = 4


class CostTable(Protocol):
    """A cost of which no choice of a larger option makes less."""

    def total(self, space: ElasticSpace, choices: IntArray, classes: int | IntArray) -> Numbers:
        """Cost [...] of choices [..., U + 2S] with classifiers of so many classes."""
        ...


@dataclass(frozen=True, eq=False)
class SumTable:
    """A cost that is a sum over the blocks.

    Attributes:
        base: everything outside the elastic blocks but the classifier.
        per_class: one row of the classifier.
        block: [S, kernels, expansions] int64 or float64, one block in each slot.
    """

    base: float
    per_class: float
    block: Numbers

    def total(self, space: ElasticSpace, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`; int64 where the table is."""
        blocks = (_picked(space, self.block, choices) * active_slots(space, choices[..., : len(space.stages)])).sum(-1)
        total: Numbers = self.base + self.per_class * np.asarray(classes, np.int64) + blocks
        return total


@dataclass(frozen=True, eq=False)
class PeakTable:
    """A cost that is the greatest over the blocks and the rest.

    Attributes:
        base: the greatest outside the elastic blocks and the classifier.
        block: [S, kernels, expansions] int64, one block in each slot.
        classifier, per_class: the classifier's own cost without classes, and what each of them adds.
    """

    base: int
    block: npt.NDArray[np.int64]
    classifier: int = 0
    per_class: int = 0

    def total(self, space: ElasticSpace, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`."""
        blocks = (_picked(space, self.block, choices) * active_slots(space, choices[..., : len(space.stages)])).max(-1)
        last = self.classifier + self.per_class * np.asarray(classes, np.int64)
        total: Numbers = np.maximum(np.maximum(blocks, self.base), last)
        return total


@dataclass(frozen=True, eq=False)
class MemoryTable:
    """Bytes of weights and peak activations together, as an engine holds them."""

    model: MemoryModel
    weights: SumTable
    activations: PeakTable

    def total(self, space: ElasticSpace, choices: IntArray, classes: int | IntArray) -> Numbers:
        """See `CostTable.total`; equal to `memory_bytes(structure(...))`."""
        weights, activations = (t.total(space, choices, classes) for t in (self.weights, self.activations))
        exact: Numbers = self.model.bytes(weights, activations)  # type: ignore[arg-type, assignment]
        total: Numbers = np.rint(exact)
        return total


def block_table(space: ElasticSpace, measure: Callable[[tuple[Node, ...]], float], dtype: npt.DTypeLike) -> Numbers:
    """[S, kernels, expansions]: what `measure` says of every block."""
    block = np.zeros((space.slots, len(space.kernels), len(space.expansions)), dtype)
    for slot, kernel, expansion, nodes in every_block(space):
        block[slot, kernel, expansion] = measure(nodes)
    block.setflags(write=False)
    return block


@functools.lru_cache(maxsize=32)
def madds_table(space: ElasticSpace) -> SumTable:
    """Multiply-adds of a space, counted on its nodes: equal to `cost(structure(...)).madds`."""
    nodes = structure(space, space.smallest, classes=1)
    fixed = [node for node in nodes if not node.name.startswith("unit")]
    classifier = madds(nodes[-1])
    block = block_table(space, lambda made: sum(madds(node) for node in made), np.int64)
    return SumTable(sum(madds(node) for node in fixed) - classifier, classifier, block)


@functools.lru_cache(maxsize=32)
def memory_table(space: ElasticSpace, model: MemoryModel) -> MemoryTable:
    """Memory of a space's networks, counted on their nodes."""
    nodes = structure(space, space.smallest, classes=1)
    fixed = [node for node in nodes if not node.name.startswith("unit")]
    row = 4 * total_weight_elements(nodes[-1:])
    weights = block_table(space, lambda made: 4 * total_weight_elements(made), np.int64)
    activations = block_table(space, peak_activation_bytes, np.int64)
    first = next(i for i, node in enumerate(nodes) if node.name.startswith("unit"))
    last = max(i for i, node in enumerate(nodes) if node.name.startswith("unit"))
    outside = max(peak_activation_bytes(nodes[:first]), peak_activation_bytes(nodes[last + 1 : -1]))
    classifier = peak_activation_bytes(nodes[-1:]) - LOGIT_BYTES
    return MemoryTable(
        model,
        SumTable(4 * total_weight_elements(fixed) - row, row, weights),
        PeakTable(outside, activations.astype(np.int64), classifier, LOGIT_BYTES),
    )


@functools.lru_cache(maxsize=256)
def madds_range(space: ElasticSpace, classes: int) -> tuple[int, int]:
    """Multiply-adds of the smallest and of the largest member, with a classifier of so many classes."""
    ends = encode(space, [space.smallest, space.largest])
    low, high = madds_table(space).total(space, ends, classes).tolist()
    return low, high


def _picked(space: ElasticSpace, block: Numbers, choices: IntArray) -> Numbers:
    """[..., S]: what the chosen blocks cost, absent slots included."""
    u, s = len(space.stages), space.slots
    picked: Numbers = block[np.arange(s), choices[..., u : u + s], choices[..., u + s :]]
    return picked
