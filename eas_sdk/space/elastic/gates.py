"""Many architectures at once, as integers: what selectors compute with.

A row of choices holds, in this order, the index of each unit's depth (U numbers), of each slot's kernel (S)
and of each slot's expansion ratio (S); slot = unit x greatest depth + block. Slots past a unit's depth are 0.

The same row as nested binary gates (EAS, section 3.2): a choice of n options has n - 1 gates, and its index
is the number of leading gates that are on. Gates are laid out like the choices: depth, kernel, expansion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.protocol import BoolArray, IntArray

if TYPE_CHECKING:
    from eas_sdk.space.elastic.space import ElasticSpace


@dataclass(frozen=True)
class GateLayout:
    """Where each choice's gates lie in a gate vector.

    Attributes:
        units, slots: how many units and block slots.
        depth, kernel, expansion: gates of one choice of each sort (number of options - 1).
    """

    units: int
    slots: int
    depth: int
    kernel: int
    expansion: int

    @classmethod
    def of(cls, space: ElasticSpace) -> GateLayout:
        return cls(
            len(space.stages),
            space.slots,
            len(space.depths) - 1,
            len(space.kernels) - 1,
            len(space.expansions) - 1,
        )

    @property
    def gates(self) -> int:
        """Length of a gate vector."""
        return self.units * self.depth + self.slots * (self.kernel + self.expansion)

    def split(self, gates: npt.NDArray[np.generic]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Views [..., U, depth], [..., S, kernel], [..., S, expansion] of a gate array [..., gates]."""
        a = self.units * self.depth
        b = a + self.slots * self.kernel
        lead = gates.shape[:-1]
        return (
            gates[..., :a].reshape(*lead, self.units, self.depth),
            gates[..., a:b].reshape(*lead, self.slots, self.kernel),
            gates[..., b:].reshape(*lead, self.slots, self.expansion),
        )


def encode(space: ElasticSpace, architectures: Sequence[Architecture]) -> IntArray:
    """Choices [M, U + 2S] int8 of architectures that are made of the space's choices."""
    deepest, units = space.depths[-1], len(space.stages)
    rows = np.zeros((len(architectures), units + 2 * space.slots), np.int8)
    for row, architecture in zip(rows, architectures, strict=True):
        for u, unit in enumerate(architecture.units):
            row[u] = space.depths.index(len(unit))
            for b, block in enumerate(unit):
                slot = units + u * deepest + b
                row[slot] = space.kernels.index(block.kernel)
                row[slot + space.slots] = space.expansions.index(block.expansion)
    return rows


def decode(space: ElasticSpace, row: IntArray) -> Architecture:
    """The architecture of one row of choices; what lies beyond a unit's depth is ignored."""
    deepest, units = space.depths[-1], len(space.stages)
    values = row.tolist()
    kernels, expansions = values[units : units + space.slots], values[units + space.slots :]
    return Architecture(
        tuple(
            tuple(
                Block(space.kernels[kernels[s]], space.expansions[expansions[s]])
                for s in range(u * deepest, u * deepest + space.depths[values[u]])
            )
            for u in range(units)
        )
    )


def active_slots(space: ElasticSpace, depth_choices: IntArray) -> BoolArray:
    """[..., S] bool from depth choices [..., U]: which slots hold a block."""
    depths = np.asarray(space.depths)[depth_choices]
    active = np.arange(space.depths[-1]) < depths[..., None]
    return active.reshape(*depth_choices.shape[:-1], space.slots)


def effective_gates(space: ElasticSpace, gates: BoolArray) -> BoolArray:
    """Gates without those that have no effect: behind a gate that is off, or in an absent block."""
    layout = GateLayout.of(space)
    depth, kernel, expansion = (_nested(part) for part in layout.split(gates))
    active = active_slots(space, _leading(depth))[..., None]
    return _joined(depth, kernel & active, expansion & active)


def choices_of_gates(space: ElasticSpace, gates: BoolArray) -> IntArray:
    """Choices [..., U + 2S] int8 of effective gates [..., gates]."""
    return np.concatenate([_leading(part) for part in GateLayout.of(space).split(gates)], axis=-1)


def gates_of_choices(space: ElasticSpace, choices: IntArray) -> BoolArray:
    """Effective gates [..., gates] of choices [..., U + 2S]."""
    layout = GateLayout.of(space)
    u, s = layout.units, layout.slots
    parts = (
        (choices[..., :u], layout.depth),
        (choices[..., u : u + s], layout.kernel),
        (choices[..., u + s :], layout.expansion),
    )
    return effective_gates(space, _joined(*(np.arange(n) < part[..., None] for part, n in parts)))


def union(space: ElasticSpace, architectures: Sequence[Architecture]) -> Architecture:
    """The smallest architecture that holds all of these, choice by choice."""
    held: BoolArray = np.asarray(gates_of_choices(space, encode(space, [space.smallest, *architectures])).any(0))
    return decode(space, choices_of_gates(space, held))


def scope(space: ElasticSpace, name: str) -> tuple[list[int], list[int]]:
    """See `Space.scope`. A block's expansion gates change its projection alone: the channels of the layers before are
    prefixes."""
    layout = GateLayout.of(space)
    index = np.arange(layout.gates)
    depth, kernel, expansion = layout.split(index)
    prefix, _, layer = name.rpartition(".")
    if name == "head":
        return [], index.tolist()
    if not prefix.startswith("unit"):
        return [], []
    unit, block = (int(part) for part in prefix.removeprefix("unit").split(".block"))
    slot = unit * (layout.slots // layout.units) + block
    mine: list[int] = []
    if layer in ("depthwise", "project"):
        mine += kernel[slot].tolist()
    if layer == "project":
        mine += expansion[slot].tolist()
    before = np.concatenate([depth[:unit].ravel(), kernel[:slot].ravel(), expansion[:slot].ravel()])
    return mine, before.tolist()


# A choice has few gates: numpy's own accumulate and sum over so short an axis take several times as long.


def _nested(gates: BoolArray) -> BoolArray:
    """Gates [..., n] with all switched off that follow one that is off."""
    nested: BoolArray = gates.copy()
    for i in range(1, gates.shape[-1]):
        nested[..., i] &= nested[..., i - 1]
    return nested


def _leading(nested: BoolArray) -> IntArray:
    """How many of the nested gates [..., n] are on: [...] int8."""
    count = np.zeros(nested.shape[:-1], np.int8)
    for i in range(nested.shape[-1]):
        count += nested[..., i]
    return count


def _joined(*parts: BoolArray) -> BoolArray:
    """Inverse of `GateLayout.split`. (The -1 of reshape would be ambiguous in an empty array.)"""
    flat = [part.reshape(*part.shape[:-2], part.shape[-2] * part.shape[-1]) for part in parts]
    return np.concatenate(flat, axis=-1)
