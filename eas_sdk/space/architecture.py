"""An architecture: which depth, kernels and expansion ratios a sub-network has. Frozen data with a text and a JSON form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from eas_sdk.errors import ArchitectureError

_BLOCK = re.compile(r"k(\d{1,3})e(\d{1,3})")


@dataclass(frozen=True, order=True)
class Block:
    """One inverted residual block: side of its depthwise kernel and its expansion ratio."""

    kernel: int
    expansion: int

    def __str__(self) -> str:
        return f"k{self.kernel}e{self.expansion}"


@dataclass(frozen=True, order=True)
class Architecture:
    """The blocks of every unit, in order; a unit's depth is its number of blocks.

    Blocks that a shallow unit leaves out do not appear, so equal networks are equal architectures.

    >>> Architecture.parse("k3e6 k5e4 | k7e3").units[1][0].kernel
    7
    """

    units: tuple[tuple[Block, ...], ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks of each unit."""
        return tuple(len(unit) for unit in self.units)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks in order of execution."""
        return tuple(block for unit in self.units for block in unit)

    def __str__(self) -> str:
        return " | ".join(" ".join(str(block) for block in unit) for unit in self.units)

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture that `str(architecture)` wrote: blocks "k<kernel>e<expansion>", units split by "|".

        Raises:
            ArchitectureError: the text does not follow that form.
        """
        units = []
        for part in text.split("|"):
            matches = [(word, _BLOCK.fullmatch(word)) for word in part.split()]
            bad = [word for word, match in matches if match is None]
            if bad or not matches:
                raise ArchitectureError(
                    f"an architecture reads like 'k3e6 k5e4 | k7e3 k3e3' (blocks k<kernel>e<expansion>, units split "
                    f"by '|'); got {bad[0] if bad else 'an empty unit'!r} in {text[:200]!r}"
                )
            units.append(tuple(Block(int(m[1]), int(m[2])) for _, m in matches if m))
        return cls(tuple(units))

    def to_json(self) -> dict[str, object]:
        """A JSON-able form: {"units": [["k3e6", "k5e4"], ...]}."""
        return {"units": [[str(block) for block in unit] for unit in self.units]}

    @classmethod
    def from_json(cls, data: object) -> Architecture:
        """Inverse of `to_json`.

        Raises:
            ArchitectureError: `data` does not have that form.
        """
        units = data.get("units") if isinstance(data, Mapping) else None
        if not isinstance(units, list) or not all(
            isinstance(unit, list) and all(isinstance(word, str) for word in unit) for unit in units
        ):
            raise ArchitectureError(
                f'an architecture in JSON is {{"units": [["k3e6", ...], ...]}}; got {str(data)[:200]!r}'
            )
        return cls.parse(" | ".join(" ".join(unit) for unit in units))
