"""An architecture: the blocks of a sub-network and the size of its images, as data, text and JSON."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eas_sdk.errors import ArchitectureError

_NUMBER = "([1-9][0-9]{0,2})"
_RATIO = r"([1-9][0-9]{0,2}(?:\.[0-9]?[1-9])?)"
_BLOCK = re.compile(f"(?:k{_NUMBER}(?:d{_NUMBER})?|1x{_NUMBER})e{_RATIO}(se)?")
_SIZE = re.compile("([1-9][0-9]{0,3})px")
_LARGEST_SIZE = 9999

ABSENT = "-"
"""The text of a unit without blocks."""


@dataclass(frozen=True, order=True)
class Block:
    """One inverted residual block.

    Attributes:
        kernel: side of the depthwise kernel.
        expansion: expansion ratio; of two decimals at most.
        dilation: how many pixels the kernel's taps lie apart.
        factorised: whether two dense kernels, 1 x k and k x 1, take the place of the depthwise one (NSE, section A.1).
        squeeze_excite: whether it has squeeze-and-excitation; where the space decides that, the block does not say it.
    """

    kernel: int
    expansion: float
    dilation: int = 1
    factorised: bool = False
    squeeze_excite: bool = False

    def __repr__(self) -> str:
        return f"Block.parse({str(self)!r})"

    def __str__(self) -> str:
        dilation = f"d{self.dilation}" if self.dilation > 1 else ""
        window = f"1x{self.kernel}" if self.factorised else f"k{self.kernel}{dilation}"
        return f"{window}e{self.expansion:g}{'se' if self.squeeze_excite else ''}"

    @classmethod
    def parse(cls, text: str) -> Block:
        """Inverse of `str(block)`: "k3e6", "k3e2.5", "k3d2e6" (dilated), "1x5e2" (factorised), "k3e6se".

        Raises:
            ArchitectureError: the text does not follow that form.
        """
        match = _BLOCK.fullmatch(text)
        if match is None:
            raise ArchitectureError(
                "a block reads like 'k3e6', 'k3d2e6', '1x5e2' or 'k3e6se', with numbers from 1 to 999 (the ratio after "
                f"the 'e' may have two decimals, of which the last is not 0); got {reprlib.repr(text)}"
            )
        side, dilation, factorised, expansion, squeeze = match.groups()
        ratio = float(expansion) if "." in expansion else int(expansion)
        return cls(int(side or factorised), ratio, int(dilation or 1), side is None, squeeze is not None)


@dataclass(frozen=True, order=True)
class Architecture:
    """The blocks of every unit, in order, and the size of the images.

    The space says how they are joined: the blocks of an elastic space's unit follow each other, those of a cell lie
    side by side. What a space decides is left out: blocks that are not there, the size where there is one only. So
    equal networks are equal architectures.

    Attributes:
        units: the blocks.
        input_size: side of the square input image, in pixels; None where the space has one size only.

    >>> Architecture.parse("160px k3e6 k5e4 | k7e3").units[1][0].kernel
    7
    """

    units: tuple[tuple[Block, ...], ...]
    input_size: int | None = None

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks of each unit."""
        return tuple(len(unit) for unit in self.units)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, unit by unit."""
        return tuple(block for unit in self.units for block in unit)

    def __repr__(self) -> str:
        return f"Architecture.parse({str(self)!r})"

    def __str__(self) -> str:
        size = "" if self.input_size is None else f"{self.input_size}px "
        return size + " | ".join(" ".join(str(block) for block in unit) or ABSENT for unit in self.units)

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Inverse of `str(architecture)`: perhaps "160px", then blocks (see `Block.parse`), units split by "|", "-" for
        a unit without any.

        Raises:
            ArchitectureError: the text does not follow that form.
        """
        words = [part.split() for part in text.split("|")]
        size = _SIZE.fullmatch(words[0][0]) if words[0] else None
        if size is not None:
            words[0] = words[0][1:]
        units = tuple(() if unit == [ABSENT] else _unit(unit) for unit in words)
        return cls(units, None if size is None else int(size[1]))

    def to_json(self) -> dict[str, object]:
        """A JSON-able form: {"units": [["k3e6", "k5e4"], ...]}, and "input_size" where there is one."""
        size = {} if self.input_size is None else {"input_size": self.input_size}
        return size | {"units": [[str(block) for block in unit] for unit in self.units]}

    @classmethod
    def from_json(cls, data: object) -> Architecture:
        """Inverse of `to_json`.

        Raises:
            ArchitectureError: `data` does not have that form.
        """
        units, size = (data.get("units"), data.get("input_size")) if isinstance(data, Mapping) else (None, None)
        if (
            not isinstance(data, Mapping)
            or not set(data) <= {"units", "input_size"}
            or not isinstance(units, list)
            or not units
            or not all(isinstance(unit, list) and all(isinstance(word, str) for word in unit) for unit in units)
            or not (size is None or (type(size) is int and 1 <= size <= _LARGEST_SIZE))
        ):
            raise ArchitectureError(
                'an architecture in JSON is {"units": [["k3e6", ...], ...]}, perhaps with an "input_size" from 1 to '
                f"{_LARGEST_SIZE} px; got {reprlib.repr(data)}"
            )
        return cls(tuple(_unit(unit) if unit else () for unit in units), size)


def _unit(words: Sequence[str]) -> tuple[Block, ...]:
    try:
        if words:
            return tuple(Block.parse(word) for word in words)
        raise ArchitectureError("got an empty unit")
    except ArchitectureError as error:
        raise ArchitectureError(
            f"an architecture reads like 'k3e6 k5e4 | k7e3 k3e3': units split by '|', each of one or more blocks, or "
            f"'{ABSENT}'; with an input size in front where there are several: '160px k3e6 | ...'; {error}"
        ) from error
