"""Many architectures at once, as integers: what selectors compute with.

A row of choices holds, in this order, the index of each unit's depth (U numbers), of each slot's kernel (S), of each
slot's expansion ratio (S), and of the input size; slots are the block places of all units, one after the other. Slots
past a unit's depth are 0.

The same row as nested binary gates (EAS, section 3.2): a choice of n options has n - 1 gates, and its index is the
number of leading gates that are on. Gates follow each other like the choices that they belong to. Larger input sizes
contain smaller ones in what they cost, as larger kernels do (OFA chooses the size with the rest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import BoolArray, IntArray, size_of

if TYPE_CHECKING:
    from eas_sdk.space.elastic.space import ElasticSpace


@dataclass(frozen=True, eq=False)
class GateLayout:
    """Where each choice's gates lie in a gate vector.

    Attributes:
        depths: of each unit, how many depths; kernels, expansions: of each slot, how many of them; sizes: how many
            input sizes.
        unit_of: [S], the unit of each slot; block_of: [S], its place in the unit.
    """

    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    sizes: int
    unit_of: IntArray
    block_of: IntArray

    @classmethod
    def of(cls, space: ElasticSpace) -> GateLayout:
        """The layout of a space, which keeps it as `ElasticSpace.layout`."""
        deepest = [unit.depths[-1] for unit in space.units]
        owner = np.repeat(np.arange(len(deepest)), deepest)
        return cls(
            tuple(len(unit.depths) for unit in space.units),
            tuple(len(space.units[u].kernels) for u in owner),
            tuple(len(space.units[u].expansions) for u in owner),
            len(space.input_sizes),
            owner,
            np.concatenate([np.arange(depth) for depth in deepest]),
        )

    @property
    def units(self) -> int:
        """How many units."""
        return len(self.depths)

    @property
    def slots(self) -> int:
        """How many block places."""
        return len(self.kernels)

    @property
    def options(self) -> tuple[int, ...]:
        """How many options each choice has."""
        return (*self.depths, *self.kernels, *self.expansions, self.sizes)

    @cached_property
    def gates(self) -> int:
        """Length of a gate vector."""
        return sum(self.options) - len(self.options)

    @cached_property
    def choice_of(self) -> IntArray:
        """[gates]: the choice that each belongs to."""
        return np.repeat(np.arange(len(self.options)), np.asarray(self.options) - 1)

    @cached_property
    def rank_of(self) -> IntArray:
        """[gates]: how many gates of the same choice come before each."""
        return np.concatenate([np.arange(n - 1) for n in self.options]).astype(np.int64)

    @cached_property
    def places(self) -> IntArray:
        """[choices, G]: where the gates of each choice lie, `gates` behind its last; G is the most that one has."""
        most = max(self.options) - 1
        places = np.full((len(self.options), most), self.gates)
        places[self.choice_of, self.rank_of] = np.arange(self.gates)
        return places

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """The most gates of one choice of a depth, a kernel, an expansion ratio, the input size."""
        return max(self.depths) - 1, max(self.kernels) - 1, max(self.expansions) - 1, self.sizes - 1

    def split(self, values: npt.NDArray[np.generic]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Views of what there is one of for each choice [choices, ...]: of depths, kernels, expansions, input size."""
        u, s = self.units, self.slots
        return values[:u], values[u : u + s], values[u + s : u + 2 * s], values[u + 2 * s :]

    @cached_property
    def first_slot(self) -> IntArray:
        """[U]: the first slot of each unit."""
        return np.flatnonzero(self.block_of == 0)

    @cached_property
    def steps(self) -> int:
        """How many steps a generator takes: one for each slot of the units that leave a choice, at least one."""
        return int(self.step_of[-1]) + 1

    @cached_property
    def step_of(self) -> IntArray:
        """[choices]: the step that decides each: of a kernel or a ratio that of its slot, of a depth that of the unit's
        first slot, of the input size the last. Of choices without gates, any."""
        choosing = [
            max(self.depths[u], self.kernels[s], self.expansions[s]) > 1 for s, u in enumerate(self.unit_of.tolist())
        ]
        of_slot = np.maximum(np.cumsum(choosing) - 1, 0)
        return np.concatenate([of_slot[self.first_slot], of_slot, of_slot, of_slot[-1:]])


def encode(space: ElasticSpace, architectures: Sequence[Architecture]) -> IntArray:
    """Choices [M, U + 2S + 1] int8 of architectures that are made of the space's choices."""
    layout = space.layout
    rows = np.zeros((len(architectures), len(layout.options)), np.int8)
    first = (layout.units + layout.first_slot).tolist()
    for row, architecture in zip(rows, architectures, strict=True):
        for u, (unit, blocks) in enumerate(zip(space.units, architecture.units, strict=True)):
            row[u] = unit.depths.index(len(blocks))
            for slot, block in enumerate(blocks, first[u]):
                row[slot] = unit.kernels.index(block.kernel)
                row[slot + layout.slots] = unit.expansions.index(block.expansion)
        row[-1] = space.input_sizes.index(size_of(space, architecture))
    return rows


def decode(space: ElasticSpace, row: IntArray) -> Architecture:
    """The architecture of one row of choices; what lies beyond a unit's depth is ignored."""
    layout = space.layout
    values, slots = row.tolist(), layout.slots
    units, slot = [], layout.units
    for unit, blocks, depth in zip(space.units, space.blocks, values, strict=False):
        places = range(slot, slot + unit.depths[depth])
        units.append(tuple([blocks[values[s]][values[s + slots]] for s in places]))
        slot += unit.depths[-1]
    return Architecture(tuple(units), space.input_sizes[values[-1]] if layout.sizes > 1 else None)


def active_slots(space: ElasticSpace, depth_choices: IntArray) -> BoolArray:
    """[..., S] bool from depth choices [..., U]: which slots hold a block."""
    layout, values = space.layout, space.depth_values
    units, most = values.shape
    depths = values.take(depth_choices + most * np.arange(units))
    return np.asarray(layout.block_of < depths.take(layout.unit_of, -1))


def effective_gates(space: ElasticSpace, gates: BoolArray) -> BoolArray:
    """Gates without those that have no effect: behind a gate that is off, or in an absent block."""
    return gates_of_choices(space, choices_of_gates(space, gates))


def choices_of_gates(space: ElasticSpace, gates: BoolArray) -> IntArray:
    """Choices [..., U + 2S + 1] int8 of gates [..., gates], of which those behind one that is off count nothing."""
    layout = space.layout
    more = np.concatenate([gates, np.zeros((*gates.shape[:-1], 1), np.bool_)], -1)
    choices = np.zeros((*gates.shape[:-1], len(layout.options)), np.int8)
    reached: BoolArray = np.ones(choices.shape, np.bool_)
    # A choice has few gates: numpy's own accumulate and sum over so short an axis take several times as long.
    for place in layout.places.T:
        reached &= more[..., place]
        choices += reached
    return without_absent(space, choices)


def without_absent(space: ElasticSpace, choices: IntArray) -> IntArray:
    """Choices [..., U + 2S + 1] with 0 for the slots that hold no block, in place."""
    u, s = space.layout.units, space.layout.slots
    active = active_slots(space, choices[..., :u])
    choices[..., u : u + s] *= active
    choices[..., u + s : u + 2 * s] *= active
    return choices


def gates_of_choices(space: ElasticSpace, choices: IntArray) -> BoolArray:
    """Effective gates [..., gates] of choices [..., U + 2S + 1]; what lies beyond a unit's depth is ignored."""
    layout = space.layout
    present = without_absent(space, choices.copy())
    return np.asarray(present[..., layout.choice_of] > layout.rank_of)


def union(space: ElasticSpace, architectures: Sequence[Architecture]) -> Architecture:
    """The smallest architecture that holds all of these, choice by choice."""
    most = encode(space, [space.smallest, *architectures]).max(0)
    return decode(space, most)


def scope(space: ElasticSpace, name: str) -> tuple[list[int], list[int]]:
    """See `Space.scope`. A block's expansion gates change its projection alone: the channels of the layers before are
    prefixes. The input size changes every layer."""
    layout = space.layout
    depth, kernel, expansion, size = layout.split(layout.places)
    sizes, every = _held(layout, size), list(range(layout.gates))
    prefix, _, layer = name.rpartition(".")
    if name == "head":
        return sizes, [gate for gate in every if gate not in sizes]
    if not prefix.startswith("unit"):
        return sizes, []
    unit, block = (int(part) for part in prefix.removeprefix("unit").split(".block"))
    slot = int(layout.first_slot[unit]) + block
    mine: list[int] = []
    if layer in ("depthwise", "project"):
        mine += _held(layout, kernel[slot])
    if layer == "project":
        mine += _held(layout, expansion[slot])
    before = [gate for part in (depth[:unit], kernel[:slot], expansion[:slot]) for gate in _held(layout, part)]
    return mine + sizes, before


def _held(layout: GateLayout, places: IntArray) -> list[int]:
    """The gates among a part of `GateLayout.places`, in order."""
    flat: list[int] = places.ravel().tolist()
    return [place for place in flat if place < layout.gates]
