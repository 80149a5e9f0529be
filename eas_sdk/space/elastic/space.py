"""The elastic space, as frozen data (Cai et al. 2020; EAS, section 4): a backbone, and choices that nest in it.

Stem, units of inverted residual blocks, head. Elastic are the side of the input image, the depth of each unit and, for
each block, the kernel of its depthwise convolution and its expansion ratio. All choices nest: a smaller choice uses a
prefix of the channels, the centre of the kernel, the first blocks of the unit. backbones.py has the tables of published
networks.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.nodes import Linear, Node
from eas_sdk.processes import PickledByFields
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic import gates, network, units
from eas_sdk.space.elastic.gates import GateLayout
from eas_sdk.space.elastic.units import MAX_OPTIONS, Head, Stem, Unit
from eas_sdk.space.protocol import BoolArray, IntArray, Numbers, Part, Space, size_of
from eas_sdk.space.widths import MAX_INPUT_SIZE, check_integer, check_multiplier, make_divisible

KIND = "elastic"

MAX_UNITS = 17
MAX_BLOCKS = 2**15
"""Tables of costs hold a number for each; more of them would take seconds to make."""
PADDINGS = ("symmetric", "same")
EPSILONS = 1e-8, 1e-1
"""Least and greatest epsilon."""

_WHOLE = Architecture(())  # as `largest`: all choices


@dataclass(frozen=True, kw_only=True)
class ElasticSpace(PickledByFields):
    """A search space: the fixed macro-structure and the nested choices.

    Attributes:
        input_sizes: sides of the square input image that there are to choose from, in pixels, ascending.
        stem, units, head: what networks are made of.
        width_multiplier: scales every width; results are rounded to multiples of 8.
        padding: of convolutions of more than one tap: "symmetric" as torch has it, "same" as TensorFlow.
        epsilon: what batch-norms add to their variances.
        largest: the largest member, block by block; anything nested inside it is a member too. A pruned bank
            narrows the space by a smaller `largest`.

    Raises:
        ArchitectureError: a value is of another type or out of range; the message names it.
    """

    input_sizes: tuple[int, ...]
    stem: Stem
    units: tuple[Unit, ...]
    head: Head
    width_multiplier: float = 1.0
    padding: Literal["symmetric", "same"] = "symmetric"
    epsilon: float = 1e-5
    largest: Architecture = _WHOLE

    def __post_init__(self) -> None:
        for name, most in (("input_sizes", MAX_OPTIONS), ("units", MAX_UNITS)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not 1 <= len(values) <= most:
                raise ArchitectureError(
                    f"{name} of a search space are a tuple of 1 to {most}; got {reprlib.repr(values)}"
                )
        for size in self.input_sizes:
            check_integer("each of input_sizes", size, 8, MAX_INPUT_SIZE)
        if list(self.input_sizes) != sorted(set(self.input_sizes)):
            raise ArchitectureError(f"input_sizes ascend; got {self.input_sizes}")
        check_multiplier(self.width_multiplier)
        if self.padding not in PADDINGS:
            raise ArchitectureError(f"padding is one of {PADDINGS}; got {reprlib.repr(self.padding)}")
        if type(self.epsilon) is not float or not EPSILONS[0] <= self.epsilon <= EPSILONS[1]:
            raise ArchitectureError(
                f"epsilon is a number from {EPSILONS[0]:g} to {EPSILONS[1]:g}; got {reprlib.repr(self.epsilon)}"
            )
        blocks_of_all = len(self.input_sizes) * sum(
            u.depths[-1] * len(u.kernels) * len(u.expansions) for u in self.units
        )
        if blocks_of_all > MAX_BLOCKS:
            raise ArchitectureError(
                f"a space has at most {MAX_BLOCKS} different blocks over all units and input sizes; got {blocks_of_all}"
            )
        if self.largest == _WHOLE:
            blocks = tuple((Block(u.kernels[-1], u.expansions[-1]),) * u.depths[-1] for u in self.units)
            largest = self.input_sizes[-1] if len(self.input_sizes) > 1 else None
            object.__setattr__(self, "largest", Architecture(blocks, largest))
        self.validate(self.largest, within=None)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in dataclasses.fields(self)))

    @cached_property
    def layout(self) -> GateLayout:
        """Where gates lie; see gates.py."""
        return GateLayout.of(self)

    @cached_property
    def blocks(self) -> tuple[tuple[tuple[Block, ...], ...], ...]:
        """Of each unit, by kernel and expansion ratio, the blocks that there are."""
        return tuple(tuple(tuple(Block(k, e) for e in u.expansions) for k in u.kernels) for u in self.units)

    @cached_property
    def depth_values(self) -> IntArray:
        """[U, most depths]: the depths of each unit, the last again where a unit has fewer."""
        most = max(len(unit.depths) for unit in self.units)
        return np.array([unit.depths + unit.depths[-1:] * (most - len(unit.depths)) for unit in self.units])

    @property
    def slots(self) -> int:
        """Number of block slots: the greatest depths of all units."""
        return self.layout.slots

    @cached_property
    def smallest(self) -> Architecture:
        """The member with the smallest image, the fewest blocks, smallest kernels and expansion ratios."""
        blocks = tuple((Block(u.kernels[0], u.expansions[0]),) * u.depths[0] for u in self.units)
        return Architecture(blocks, self.input_sizes[0] if len(self.input_sizes) > 1 else None)

    def width(self, value: int) -> int:
        """A width after the width multiplier, in channels."""
        return make_divisible(value * self.width_multiplier)

    def widths(self, unit: int, block: int) -> tuple[int, int]:
        """Input and output channels of block `block` of unit `unit`."""
        out = self.width(self.units[unit].width)
        if block:
            return out, out
        return self.width(self.units[unit - 1].width if unit else self.stem.width), out

    def stride(self, unit: int, block: int) -> int:
        """Stride of block `block` of unit `unit`."""
        return 1 if block else self.units[unit].stride

    def hidden(self, unit: int, block: int, expansion: float) -> int:
        """Channels between expansion and projection of a block."""
        return make_divisible(round(self.widths(unit, block)[0] * expansion))

    def validate(
        self, architecture: Architecture, *, within: Architecture | Literal["largest"] | None = "largest"
    ) -> None:
        """Check that `architecture` is a member of this space.

        Args:
            within: an architecture that bounds it choice by choice; "largest": the space's own; None: none.

        Raises:
            ArchitectureError: it is not; the message names the first choice that is not allowed.
        """
        if not isinstance(architecture, Architecture):
            raise ArchitectureError(
                "an architecture is an eas_sdk.Architecture (Architecture.parse reads text); "
                f"got {reprlib.repr(architecture)}"
            )
        bound = self.largest if within == "largest" else within
        self._check_size(architecture.input_size, bound)
        if len(architecture.units) != len(self.units):
            raise ArchitectureError(f"this space has {len(self.units)} units; got {len(architecture.units)}")
        for u, (unit, blocks) in enumerate(zip(self.units, architecture.units, strict=True)):
            deepest = len(bound.units[u]) if bound else unit.depths[-1]
            if len(blocks) not in unit.depths or len(blocks) > deepest:
                allowed = [d for d in unit.depths if d <= deepest]
                raise ArchitectureError(f"unit {u} may have {allowed} blocks; got {len(blocks)}")
            for b, block in enumerate(blocks):
                if block != Block(block.kernel, block.expansion):
                    raise ArchitectureError(
                        f"block {b} of unit {u} is a kernel and an expansion ratio, like 'k3e6'; got {block}"
                    )
                limit = bound.units[u][b] if bound else Block(unit.kernels[-1], unit.expansions[-1])
                for name, options in (("kernel", unit.kernels), ("expansion", unit.expansions)):
                    value, most = getattr(block, name), getattr(limit, name)
                    if value not in options or value > most:
                        fits = [v for v in options if v <= most]
                        raise ArchitectureError(f"block {b} of unit {u} may have {name} {fits}; got {value}")

    def _check_size(self, size: int | None, bound: Architecture | None) -> None:
        sizes = self.input_sizes
        if len(sizes) == 1:
            if size is not None:
                raise ArchitectureError(
                    f"this space has one input size, {sizes[0]} px, which its architectures leave out; got {size} px"
                )
            return
        most = bound.input_size if bound else sizes[-1]
        if type(size) is not int or size not in sizes or size > (most or 0):
            allowed = [s for s in sizes if s <= (most or 0)]
            got = "none" if size is None else f"{size} px"
            raise ArchitectureError(f"an architecture of this space has an input size in {allowed} px; got {got}")

    @property
    def nested(self) -> bool:
        """See `Space.nested`."""
        return True

    @property
    def options(self) -> tuple[int, ...]:
        """See `Space.options`: depth of each unit, kernel of each slot, expansion ratio of each slot, input size."""
        return self.layout.options

    @property
    def features(self) -> int:
        """See `Space.features`: effective gates."""
        return self.layout.gates

    @property
    def random_numbers(self) -> int:
        """See `Space.random_numbers`."""
        return 1 + self.features + (len(self.input_sizes) > 1)

    def structure(self, architecture: Architecture, classes: int, *, input_size: int | None = None) -> tuple[Node, ...]:
        """See `Space.structure`."""
        self.validate(architecture)
        return network.structure(self, architecture, classes, input_size or size_of(self, architecture))

    def bank(self, classes: int) -> tuple[Node, ...]:
        """See `Space.bank`: the nodes of the largest member, of which all others use prefixes and centres."""
        return self.structure(self.largest, classes)

    def classifier(self, classes: int) -> Linear:
        """See `Space.classifier`."""
        *_, last = network.after(self, network.SOURCE, 1, classes)
        assert isinstance(last, Linear)
        return last

    def encode(self, architectures: Sequence[Architecture]) -> IntArray:
        """See `Space.encode`; members are allowed to exceed `largest`."""
        for architecture in architectures:
            self.validate(architecture, within=None)
        return gates.encode(self, architectures)

    def decode(self, row: IntArray) -> Architecture:
        """See `Space.decode`; what lies beyond a unit's depth is ignored."""
        return gates.decode(self, row)

    @cached_property
    def most(self) -> IntArray:
        """[C]: the choices of `largest`, which bound those of every member."""
        return np.asarray(gates.encode(self, [self.largest])[0])

    def allowed(self, choices: IntArray) -> BoolArray:
        """See `Space.allowed`: those within `largest`."""
        return np.asarray((gates.without_absent(self, choices.copy()) <= self.most).all(-1))

    def members(self, uniform: npt.NDArray[np.float64]) -> IntArray:
        """See `Space.members`: gates are on with a probability that is itself drawn, and input sizes lean to the same
        side: costs are a product of both, and large ones would hardly occur otherwise."""
        level, each = uniform[:, :1], uniform[:, 1 : 1 + self.features]
        drawn = gates.choices_of_gates(self, each < level)
        if len(self.input_sizes) > 1:
            drawn[:, -1] = (2 * level[:, 0] + uniform[:, -1]) / 3 * (self.most[-1] + 1)
        return gates.without_absent(self, np.minimum(drawn, self.most))

    def features_of(self, choices: IntArray) -> BoolArray:
        """See `Space.features_of`."""
        return gates.gates_of_choices(self, choices)

    def features_among(self, wider: Space) -> list[int]:
        """See `Space.features_among`: they stay the same."""
        return list(range(self.features))

    def scope(self, name: str) -> tuple[list[int], list[int]]:
        """See `Space.scope`."""
        return gates.scope(self, name)

    @cached_property
    def grid(self) -> IntArray:
        """[R, S, K, E]: where a block of each slot lies among the parts of each input size, from 1; 0: no such block.

        K and E are the most kernels and expansion ratios that a unit has.
        """
        layout = self.layout
        grid = np.zeros((layout.sizes, layout.slots, max(layout.kernels), max(layout.expansions)), np.int64)
        place = 1
        for size in grid:
            for slot, kernels, expansions in zip(size, layout.kernels, layout.expansions, strict=True):
                slot[:kernels, :expansions] = place + 1 + np.arange(kernels * expansions).reshape(kernels, expansions)
                place += kernels * expansions
            place += 2  # what lies before and behind the units
        return grid

    @cached_property
    def ends(self) -> IntArray:
        """[R, 2]: where what lies before and what lies behind the units is among the parts of each input size."""
        blocks = np.count_nonzero(self.grid[0])
        return np.asarray(1 + np.arange(len(self.input_sizes))[:, None] * (blocks + 2) + np.array([0, blocks + 1]))

    def parts(self, choices: IntArray) -> IntArray:
        """See `Space.parts`: the block of each slot, and what lies before and behind the units."""
        u, s = self.layout.units, self.slots
        _, _, kernels, expansions = self.grid.shape
        place = choices[..., u : u + s].astype(np.int64)  # in the flat grid: one index is faster than four
        place *= expansions
        place += choices[..., u + s : u + 2 * s]
        place += kernels * expansions * np.arange(s)
        if len(self.input_sizes) > 1:
            place += kernels * expansions * s * choices[..., -1:].astype(np.int64)
        blocks = self.grid.take(place)
        blocks *= gates.active_slots(self, choices[..., :u])
        return np.concatenate([blocks, self.ends[choices[..., -1]]], -1)

    def every_part(self) -> Iterator[Part]:
        """See `Space.every_part`: by input size; what lies before the units, blocks by slot, what lies behind."""
        return network.every_part(self)

    def monotonic(self, costs: Numbers) -> Numbers:
        """See `Space.monotonic`."""
        raised: Numbers = costs.copy()
        by_choice: Numbers = costs[self.grid]
        for axis in (0, 2, 3):
            by_choice = np.maximum.accumulate(by_choice, axis)
        there = self.grid > 0
        raised[self.grid[there]] = by_choice[there]
        raised[self.ends] = np.maximum.accumulate(costs[self.ends], 0)
        return raised

    def covering(self) -> list[Architecture]:
        """See `Space.covering`: the largest."""
        return [self.largest]

    def narrowed(self, architectures: Sequence[Architecture]) -> ElasticSpace:
        """See `Space.narrowed`: a smaller `largest`."""
        return dataclasses.replace(self, largest=gates.union(self, architectures))

    def in_words(self) -> str:
        """See `Space.in_words`."""
        choosing = [unit for unit in self.units if not unit.fixed] or list(self.units)
        depths, kernels, expansions = (
            ", ".join(f"{value:g}" for value in sorted({v for unit in choosing for v in getattr(unit, name)}))
            for name in ("depths", "kernels", "expansions")
        )
        words = f"{len(choosing)} units of {depths} blocks; kernels {kernels}; expansion ratios {expansions}"
        if len(self.input_sizes) > 1:
            words += f"; images of {', '.join(map(str, self.input_sizes))} px"
        return words

    def to_json(self) -> dict[str, object]:
        """A JSON-able form that `from_json` reads back to an equal space."""
        data: dict[str, object] = _lists(dataclasses.asdict(self) | {"largest": self.largest.to_json()})
        return {"kind": KIND} | data

    @classmethod
    def from_json(cls, data: object) -> ElasticSpace:
        """Inverse of `to_json`.

        Raises:
            BundleError: a field is missing, unknown or of the wrong type.
            ArchitectureError: the values break a rule of the space.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or data.get("kind") != KIND:
            got = data.get("kind") if isinstance(data, Mapping) else data
            raise BundleError(f"a search space is an object of kind {KIND!r}; got {reprlib.repr(got)}")
        if set(data) - {"kind"} != names:
            lacks, unknown = sorted(names - set(data)), sorted(set(data) - names - {"kind"})
            raise BundleError(
                f"a search space has the fields {sorted(names)}; "
                f"it lacks {lacks} and has {reprlib.repr(unknown)} besides"
            )
        for name in ("input_sizes", "units"):
            if not isinstance(data[name], list):
                raise BundleError(f"{name} of a search space are a list; got {reprlib.repr(data[name])}")
        values: dict[str, Any] = {name: data[name] for name in names}
        return cls(
            **values
            | {
                "input_sizes": tuple(data["input_sizes"]),
                "stem": units.from_json(Stem, data["stem"]),
                "units": tuple(units.from_json(Unit, unit) for unit in data["units"]),
                "head": units.from_json(Head, data["head"]),
                "largest": Architecture.from_json(data["largest"]),
            }
        )


def _lists(value: Any) -> Any:
    """Data with its tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {key: _lists(v) for key, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, (list, tuple)) else value
