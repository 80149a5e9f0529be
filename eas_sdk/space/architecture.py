"""An architecture: the depth, kernels and expansion ratios of a sub-network, as data, text and JSON."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eas_sdk.errors import ArchitectureError

_BLOCK = re.compile("k([1-9][0-9]{0,2})e([1-9][0-9]{0,2})")


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
        """Inverse of `str(architecture)`: blocks "k<kernel>e<expansion>", units split by "|".

        Raises:
            ArchitectureError: the text does not follow that form.
        """
        return cls(tuple(_unit(part.split()) for part in text.split("|")))

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
        if (
            not isinstance(units, list)
            or not units
            or not all(isinstance(unit, list) and all(isinstance(word, str) for word in unit) for unit in units)
        ):
            raise ArchitectureError(
                f'an architecture in JSON is {{"units": [["k3e6", ...], ...]}}; got {reprlib.repr(data)}'
            )
        return cls(tuple(_unit(unit) for unit in units))


def _unit(words: Sequence[str]) -> tuple[Block, ...]:
    matches = [_BLOCK.fullmatch(word) for word in words]
    if not words or None in matches:
        bad = "an empty unit" if not words else reprlib.repr(words[matches.index(None)])
        raise ArchitectureError(
            "an architecture reads like 'k3e6 k5e4 | k7e3 k3e3': units split by '|', each of one or more "
            f"blocks k<kernel>e<expansion> with numbers from 1 to 999; got {bad}"
        )
    return tuple(Block(int(match[1]), int(match[2])) for match in matches if match)
