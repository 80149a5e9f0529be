"""The elastic MobileNetV3 space (Howard et al. 2019; Cai et al. 2020; EAS, section 4), as frozen data.

Stem, one fixed block, five units of up to four inverted residual blocks, head. Elastic are the depth of each unit
and, for each block, the kernel of its depthwise convolution and its expansion ratio. All choices nest: a smaller
choice uses a prefix of the channels, the centre of the kernel, the first blocks of the unit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.space.architecture import Architecture, Block

KIND = "elastic-mobilenetv3"


def make_divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to a multiple of `divisor`, never below it nor more than 10% below `value` (MobileNet's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class Stage:
    """One row of the stage table, before the width multiplier: a unit's width, its first block's stride, its kind."""

    width: int
    stride: int
    activation: Literal["relu", "hard_swish"]
    squeeze_excite: bool


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
        largest: the largest member, block by block; anything nested inside it is a member too. A pruned bank narrows
            the space by a smaller `largest`.
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
    largest: Architecture = Architecture(())

    def __post_init__(self) -> None:
        if self.stem_stride not in (1, 2):
            raise ArchitectureError(f"stem_stride is 1 or 2; got {self.stem_stride!r}")
        if self.input_size < 8 or self.width_multiplier <= 0 or not self.stages:
            raise ArchitectureError(
                "a space has input_size >= 8, width_multiplier > 0 and at least one stage; got "
                f"{self.input_size!r}, {self.width_multiplier!r}, {len(self.stages)} stages"
            )
        for name in ("depths", "kernels", "expansions"):
            values = getattr(self, name)
            odd = name != "kernels" or all(v % 2 for v in values)
            if not values or list(values) != sorted(set(values)) or values[0] < 1 or not odd:
                raise ArchitectureError(
                    f"{name} are ascending positive integers (kernels odd); got {values!r}"
                )
        if self.largest == Architecture(()):
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

    def validate(self, architecture: Architecture, *, within: Architecture | None | Literal["largest"] = "largest") -> None:
        """Check that `architecture` is a member of this space.

        Args:
            within: an architecture that bounds it block by block; "largest" for the space's own bound, None for none.

        Raises:
            ArchitectureError: it is not; the message names the first choice that is not allowed.
        """
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
                        raise ArchitectureError(
                            f"block {b} of unit {u} may have {name} {allowed}; got {value}"
                        )

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
        if not isinstance(data, Mapping) or data.get("kind") != KIND or set(data) - {"kind"} != names:
            got = sorted(data) if isinstance(data, Mapping) else type(data).__name__
            raise BundleError(f"a space of kind {KIND!r} has the fields {sorted(names)}; got {got}")
        try:
            values = {k: data[k] for k in names}
            values["stages"] = tuple(Stage(**stage) for stage in values["stages"])
            values["largest"] = Architecture.from_json(values["largest"])
            for name in ("depths", "kernels", "expansions"):
                values[name] = tuple(int(v) for v in values[name])
            return cls(**values)
        except (TypeError, ValueError) as error:
            if isinstance(error, ArchitectureError):
                raise
            raise BundleError(f"malformed search space: {error}") from error


PAPER = ElasticSpace()
"""The paper's space: 224 px, width multiplier 1.0."""

SMALL = ElasticSpace(
    input_size=64,
    width_multiplier=0.4,
    stages=(*MOBILENET_V3_STAGES[:-1], dataclasses.replace(MOBILENET_V3_STAGES[-1], stride=1)),
)
"""The shipped bundle's space: 64 px images. The last unit keeps a 4 x 4 map, on which a large kernel still has a use."""

PRESETS = {"paper": PAPER, "small": SMALL}
