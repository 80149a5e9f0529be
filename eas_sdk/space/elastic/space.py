"""The elastic MobileNetV3 space (Howard et al. 2019; Cai et al. 2020; EAS, section 4), as frozen data.

Stem, one fixed block, five units of up to four inverted residual blocks, head. Elastic are the depth of each
unit and, for each block, the kernel of its depthwise convolution and its expansion ratio. All choices nest: a
smaller choice uses a prefix of the channels, the centre of the kernel, the first blocks of the unit.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.nodes import Node
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic import gates, network
from eas_sdk.space.protocol import BoolArray, IntArray, Numbers, Part, Space
from eas_sdk.space.widths import (
    MAX_CHOICE,
    MAX_INPUT_SIZE,
    MAX_WIDTH,
    check_integer,
    check_multiplier,
    make_divisible,
)

KIND = "elastic-mobilenetv3"

MAX_STAGES, MAX_OPTIONS, MAX_DEPTH = 16, 8, 16

_WHOLE = Architecture(())  # as `largest`: all choices


@dataclass(frozen=True)
class Stage:
    """A row of the stage table: a unit's width before the multiplier, its first block's stride, its kind."""

    width: int
    stride: int
    activation: Literal["relu", "hard_swish"]
    squeeze_excite: bool

    def __post_init__(self) -> None:
        check_integer("the width of a stage", self.width, 1, MAX_WIDTH)
        check_integer("the stride of a stage", self.stride, 1, 2)
        if self.activation not in ("relu", "hard_swish"):
            raise ArchitectureError(
                f"the activation of a stage is 'relu' or 'hard_swish'; got {reprlib.repr(self.activation)}"
            )
        if not isinstance(self.squeeze_excite, bool):
            raise ArchitectureError(
                f"squeeze_excite of a stage is true or false; got {reprlib.repr(self.squeeze_excite)}"
            )


MOBILENET_V3_STAGES = (
    Stage(24, 2, "relu", False),
    Stage(40, 2, "relu", True),
    Stage(80, 2, "hard_swish", False),
    Stage(112, 1, "hard_swish", True),
    Stage(160, 2, "hard_swish", True),
)


@dataclass(frozen=True)
class ElasticSpace:
    """A search space: the fixed macro-structure and the nested choices.

    Attributes:
        input_size: side of the square input image, in pixels.
        width_multiplier: scales every width of the table; results are rounded to multiples of 8.
        stem_stride: stride of the first convolution, 1 or 2.
        stem_width, head_width, feature_width: widths before the multiplier.
        stages: one row a unit.
        depths, kernels, expansions: the elastic choices, ascending; kernels are odd.
        largest: the largest member, block by block; anything nested inside it is a member too. A pruned bank
            narrows the space by a smaller `largest`.

    Raises:
        ArchitectureError: a value is of another type or out of range; the message names it.
    """

    input_size: int = 224
    width_multiplier: float = 1.0
    stem_stride: int = 2
    stem_width: int = 16
    head_width: int = 960
    feature_width: int = 1280
    stages: tuple[Stage, ...] = MOBILENET_V3_STAGES
    depths: tuple[int, ...] = (2, 3, 4)
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 4, 6)
    largest: Architecture = _WHOLE

    def __post_init__(self) -> None:
        check_integer("input_size", self.input_size, 8, MAX_INPUT_SIZE)
        check_integer("stem_stride", self.stem_stride, 1, 2)
        for name in ("stem_width", "head_width", "feature_width"):
            check_integer(name, getattr(self, name), 1, MAX_WIDTH)
        check_multiplier(self.width_multiplier)
        if not 1 <= len(self.stages) <= MAX_STAGES:
            raise ArchitectureError(f"a space has 1 to {MAX_STAGES} stages; got {len(self.stages)}")
        for name in ("depths", "kernels", "expansions"):
            values = getattr(self, name)
            if not 1 <= len(values) <= MAX_OPTIONS:
                raise ArchitectureError(f"{name} hold 1 to {MAX_OPTIONS} choices; got {len(values)}")
            for value in values:
                check_integer(f"each of {name}", value, 1, MAX_DEPTH if name == "depths" else MAX_CHOICE)
            if list(values) != sorted(set(values)) or (name == "kernels" and not all(v % 2 for v in values)):
                raise ArchitectureError(f"{name} ascend, and kernels are odd; got {reprlib.repr(values)}")
        if self.largest == _WHOLE:
            unit = (Block(self.kernels[-1], self.expansions[-1]),) * self.depths[-1]
            object.__setattr__(self, "largest", Architecture((unit,) * len(self.stages)))
        self.validate(self.largest, within=None)

    @property
    def smallest(self) -> Architecture:
        """The member with the fewest blocks, smallest kernels and expansion ratios."""
        unit = (Block(self.kernels[0], self.expansions[0]),) * self.depths[0]
        return Architecture((unit,) * len(self.stages))

    @property
    def slots(self) -> int:
        """Number of block slots: units x greatest depth."""
        return len(self.stages) * self.depths[-1]

    def width(self, value: int) -> int:
        """A width of the table after the width multiplier, in channels."""
        return make_divisible(value * self.width_multiplier)

    def widths(self, unit: int, block: int) -> tuple[int, int]:
        """Input and output channels of block `block` of unit `unit`."""
        out = self.width(self.stages[unit].width)
        if block:
            return out, out
        return self.width(self.stages[unit - 1].width if unit else self.stem_width), out

    def hidden(self, unit: int, block: int, expansion: int) -> int:
        """Channels between expansion and projection of a block."""
        return make_divisible(round(self.widths(unit, block)[0] * expansion))

    def validate(
        self, architecture: Architecture, *, within: Architecture | Literal["largest"] | None = "largest"
    ) -> None:
        """Check that `architecture` is a member of this space.

        Args:
            within: an architecture that bounds it block by block; "largest": the space's own; None: none.

        Raises:
            ArchitectureError: it is not; the message names the first choice that is not allowed.
        """
        if not isinstance(architecture, Architecture):
            raise ArchitectureError(
                "an architecture is an eas_sdk.Architecture (Architecture.parse reads text); "
                f"got {reprlib.repr(architecture)}"
            )
        bound = self.largest if within == "largest" else within
        if len(architecture.units) != len(self.stages):
            raise ArchitectureError(f"this space has {len(self.stages)} units; got {len(architecture.units)}")
        for u, unit in enumerate(architecture.units):
            deepest = len(bound.units[u]) if bound else self.depths[-1]
            if len(unit) not in self.depths or len(unit) > deepest:
                allowed = [d for d in self.depths if d <= deepest]
                raise ArchitectureError(f"unit {u} may have {allowed} blocks; got {len(unit)}")
            for b, block in enumerate(unit):
                limit = bound.units[u][b] if bound else Block(self.kernels[-1], self.expansions[-1])
                for name, options in (("kernel", self.kernels), ("expansion", self.expansions)):
                    value, most = getattr(block, name), getattr(limit, name)
                    if value not in options or value > most:
                        allowed = [v for v in options if v <= most]
                        raise ArchitectureError(f"block {b} of unit {u} may have {name} {allowed}; got {value}")

    @property
    def nested(self) -> bool:
        """See `Space.nested`."""
        return True

    @property
    def options(self) -> tuple[int, ...]:
        """See `Space.options`: depth of each unit, kernel of each slot, expansion ratio of each slot."""
        counts = ((self.depths, len(self.stages)), (self.kernels, self.slots), (self.expansions, self.slots))
        return tuple(len(options) for options, times in counts for _ in range(times))

    @property
    def features(self) -> int:
        """See `Space.features`: effective gates."""
        return gates.GateLayout.of(self).gates

    @property
    def random_numbers(self) -> int:
        """See `Space.random_numbers`."""
        return self.features + 1

    def structure(self, architecture: Architecture, classes: int) -> tuple[Node, ...]:
        """See `Space.structure`."""
        self.validate(architecture)
        return network.structure(self, architecture, classes)

    def bank(self, classes: int) -> tuple[Node, ...]:
        """See `Space.bank`: the nodes of the largest member, of which all others use prefixes and centres."""
        return network.structure(self, self.largest, classes)

    def around(self, classes: int) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """See `Space.around`."""
        return tuple(network.before(self)), tuple(network.after(self, "source", classes))

    def encode(self, architectures: Sequence[Architecture]) -> IntArray:
        """See `Space.encode`; members are allowed to exceed `largest`."""
        for architecture in architectures:
            self.validate(architecture, within=None)
        return gates.encode(self, architectures)

    def decode(self, row: IntArray) -> Architecture:
        """See `Space.decode`; what lies beyond a unit's depth is ignored."""
        return gates.decode(self, row)

    def allowed(self, choices: IntArray) -> BoolArray:
        """See `Space.allowed`: those within `largest`."""
        most = gates.gates_of_choices(self, gates.encode(self, [self.largest]))[0]
        within: BoolArray = (gates.gates_of_choices(self, choices) <= most).all(-1)
        return within

    def members(self, uniform: npt.NDArray[np.float64]) -> IntArray:
        """See `Space.members`: gates are on with a probability that is itself drawn."""
        most = gates.gates_of_choices(self, gates.encode(self, [self.largest]))[0]
        on = gates.effective_gates(self, (uniform[:, 1:] < uniform[:, :1]) & most)
        return gates.choices_of_gates(self, on)

    def features_of(self, choices: IntArray) -> BoolArray:
        """See `Space.features_of`."""
        return gates.gates_of_choices(self, choices)

    def features_among(self, wider: Space) -> list[int]:
        """See `Space.features_among`: they stay the same."""
        return list(range(self.features))

    def scope(self, name: str) -> tuple[list[int], list[int]]:
        """See `Space.scope`."""
        return gates.scope(self, name)

    def parts(self, choices: IntArray) -> IntArray:
        """See `Space.parts`: the block of each slot."""
        units, slots, kernels, expansions = len(self.stages), self.slots, len(self.kernels), len(self.expansions)
        kernel, expansion = choices[..., units : units + slots], choices[..., units + slots :]
        place = 1 + kernels * expansions * np.arange(slots) + expansions * kernel.astype(np.int64) + expansion
        return np.asarray(place * gates.active_slots(self, choices[..., :units]))

    def every_part(self) -> Iterator[Part]:
        """See `Space.every_part`: slot by slot, kernel by kernel, expansion ratio by expansion ratio."""
        return network.every_block(self)

    def by_slot(self, costs: Numbers) -> Numbers:
        """[S, kernels, expansions]: the costs [1 + parts] of blocks."""
        by_slot: Numbers = costs[1:].reshape(self.slots, len(self.kernels), len(self.expansions))
        return by_slot

    def monotonic(self, costs: Numbers) -> Numbers:
        """See `Space.monotonic`."""
        raised = np.maximum.accumulate(np.maximum.accumulate(self.by_slot(costs), 1), 2)
        return np.concatenate([costs[:1], raised.ravel()])

    def covering(self) -> list[Architecture]:
        """See `Space.covering`: the largest."""
        return [self.largest]

    def narrowed(self, architectures: Sequence[Architecture]) -> ElasticSpace:
        """See `Space.narrowed`: a smaller `largest`."""
        return dataclasses.replace(self, largest=gates.union(self, architectures))

    def in_words(self) -> str:
        """See `Space.in_words`."""
        depths, kernels, expansions = (
            ", ".join(map(str, options)) for options in (self.depths, self.kernels, self.expansions)
        )
        return f"{len(self.stages)} units of {depths} blocks; kernels {kernels}; expansion ratios {expansions}"

    def to_json(self) -> dict[str, object]:
        """A JSON-able form that `from_json` reads back to an equal space."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        data["stages"] = [dataclasses.asdict(stage) for stage in self.stages]
        data["largest"] = self.largest.to_json()
        return {"kind": KIND} | {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}

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
        for name in ("stages", "depths", "kernels", "expansions"):
            if not isinstance(data[name], list):
                raise BundleError(f"{name} of a search space are a list; got {reprlib.repr(data[name])}")
        values: dict[str, Any] = {k: tuple(data[k]) if isinstance(data[k], list) else data[k] for k in names}
        values["stages"] = tuple(_stage(stage) for stage in data["stages"])
        values["largest"] = Architecture.from_json(data["largest"])
        return cls(**values)


def _stage(data: object) -> Stage:
    names = {f.name for f in dataclasses.fields(Stage)}
    if not isinstance(data, Mapping) or set(data) != names:
        raise BundleError(f"a stage of a search space has the fields {sorted(names)}; got {reprlib.repr(data)}")
    return Stage(**data)


PAPER = ElasticSpace()
"""The paper's space: 224 px, width multiplier 1.0."""

SMALL = ElasticSpace(
    input_size=64,
    width_multiplier=0.4,
    stages=(*MOBILENET_V3_STAGES[:-1], dataclasses.replace(MOBILENET_V3_STAGES[-1], stride=1)),
)
"""The shipped bundle's space: 64 px. The last unit keeps a 4 x 4 map, so a large kernel still has a use."""
