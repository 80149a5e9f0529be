"""A budget: the most that one prediction of a network may cost, in one unit or in several."""

from __future__ import annotations

import math
import numbers
import re
import reprlib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from eas_sdk.errors import BudgetError

MOST_DIGITS = 30
LIMIT = 2**62
"""Budgets in multiply-adds and bytes lie below it, so that sums fit int64."""

GRAMMAR = (
    "a budget is a positive number with a unit, or several joined by 'and': multiply-adds '4M' '350k' 4_000_000, "
    "time '12ms', energy '0.5mJ', memory '20MB', or '40%' of the way from the smallest network to the largest"
)
_TERM = re.compile(
    r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)\s*([a-zµμ%]*(?:\s+madds)?)\s*", re.IGNORECASE
)
_JOINT = re.compile(r"\band\b|&", re.IGNORECASE)
COMMA_IN_NUMBER = re.compile(r"[0-9]\s*,\s*[0-9]")
"""Which some countries write for a point, and others between thousands."""

_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_UNITS: dict[str, tuple[str, Fraction]] = {
    **{p + unit: ("madds", Fraction(s)) for p, s in _PREFIXES.items() for unit in ("", "madds", " madds")},
    **{"us": ("latency_ms", Fraction(1, 1000)), "ms": ("latency_ms", Fraction(1)), "s": ("latency_ms", Fraction(1000))},
    **{"uj": ("energy_mj", Fraction(1, 1000)), "mj": ("energy_mj", Fraction(1)), "j": ("energy_mj", Fraction(1000))},
    **{p + "b": ("memory_bytes", Fraction(s)) for p, s in _PREFIXES.items() if p},
    **{p + "ib": ("memory_bytes", Fraction(s)) for p, s in (("k", 2**10), ("m", 2**20), ("g", 2**30))},
    "%": ("level", Fraction(1, 100)),
}
"""Unit in small letters -> field of Budget, and what one of it is there."""


@dataclass(frozen=True)
class Budget:
    """Upper bounds on a network's cost; all that are given hold.

    Attributes:
        madds: multiply-adds of one image, squeeze-and-excitation included.
        latency_ms: time of one image, as the latency table of the device and the engine predicts it.
        energy_mj: energy of one image, as latency table and power table predict it.
        memory_bytes: peak memory: weights and activations.
        level: multiply-adds again, as a part (0 to 1) of the way from the task's smallest network to its largest.
    """

    madds: int | None = None
    latency_ms: float | None = None
    energy_mj: float | None = None
    memory_bytes: int | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        for name in ("madds", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 0 <= value < LIMIT):
                raise BudgetError(f"{name} is an int from 0 to below 2**62 (Budget.parse reads others); {_got(value)}")
        for name in ("latency_ms", "energy_mj"):
            value = getattr(self, name)
            if value is not None and (type(value) is not float or not 0 < value < math.inf):
                raise BudgetError(f"{name} is a positive, finite float (Budget.parse reads others); {_got(value)}")
        if self.level is not None and (type(self.level) is not float or not 0 <= self.level <= 1):
            raise BudgetError(f"level is a float from 0 to 1 (Budget.parse reads '40%'); {_got(self.level)}")
        if not self.bounds:
            raise BudgetError(f"{GRAMMAR}; got none")

    @property
    def bounds(self) -> dict[str, float]:
        """The fields that are given, by name."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}

    def __and__(self, other: Budget) -> Budget:
        """Both hold."""
        if not isinstance(other, Budget):
            return NotImplemented
        mine, theirs = self.bounds, other.bounds
        fields: Any = {n: min(mine.get(n, math.inf), theirs.get(n, math.inf)) for n in mine | theirs}
        return Budget(**fields)

    @classmethod
    def parse(cls, value: object) -> Budget:
        """A budget from a text such as "4M" or "8ms and 20MB", a number of multiply-adds, or a Budget.

        Counts are rounded down.

        Raises:
            BudgetError: anything else; the message holds the grammar.
        """
        if isinstance(value, Budget):
            return value
        if isinstance(value, str):
            return cls._parse_text(value)
        if isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool):
            if isinstance(value, Decimal) and value.is_finite() and value.adjusted() > MOST_DIGITS:
                raise BudgetError(f"{GRAMMAR}, below 2**62; {_got(value)}")  # as an int it would take minutes
            return cls(madds=_count(value, value))
        raise BudgetError(f"{GRAMMAR}; {_got(value)}")

    @classmethod
    def _parse_text(cls, text: str) -> Budget:
        if COMMA_IN_NUMBER.search(text):
            raise BudgetError(
                "a budget has a point before decimals and nothing between thousands ('8.5M', '12345678'); two bounds "
                f"are joined by 'and'; {_got(text)}"
            )
        if "," in text:
            raise BudgetError(
                "the bounds of one budget are joined by 'and' ('8ms and 20MB'), and several budgets are several texts; "
                f"{_got(text)}"
            )
        made: Budget | None = None
        for part in _JOINT.split(text) if len(text) <= 128 else [""]:
            match = _TERM.fullmatch(part)
            unit = " ".join(match[2].lower().replace("µ", "u").replace("μ", "u").split()) if match else "?"
            if match is None or unit not in _UNITS:
                raise BudgetError(f"{GRAMMAR}; {_got(text)}")
            field, scale = _UNITS[unit]
            number = Fraction(match[1].replace("_", "")) * scale  # exact: 4.1 * 10**6 < 4_100_000 in floats
            fields: Any
            if field in ("madds", "memory_bytes"):
                fields = {field: _count(number, text)}
            elif field == "level":
                if number > 1:
                    raise BudgetError(f"{GRAMMAR}, at most '100%'; {_got(text)}")
                fields = {field: float(number)}
            else:
                if not 0 < (real := _float(number)) < math.inf:
                    raise BudgetError(f"{GRAMMAR}; {_got(text)}")
                fields = {field: real}
            term = cls(**fields)
            if made is not None and made.bounds.get(field, term.bounds[field]) != term.bounds[field]:
                raise BudgetError(f"a budget has one bound of each unit: two budgets are two texts; {_got(text)}")
            made = term if made is None else made & term
        assert made is not None
        return made

    def __str__(self) -> str:
        parts = []
        if self.madds is not None:
            parts.append(format_madds(self.madds))
        if self.level is not None:
            parts.append(f"{100 * self.level:.4g}%")
        if self.latency_ms is not None:
            parts.append(f"{self.latency_ms:.4g} ms")
        if self.energy_mj is not None:
            parts.append(f"{self.energy_mj:.4g} mJ")
        if self.memory_bytes is not None:
            parts.append(f"{self.memory_bytes / 1e6:.4g} MB")
        return " and ".join(parts)


def format_madds(madds: int, *, up: bool = False) -> str:
    """Multiply-adds for people: '4.02M'.

    Args:
        up: whether they are rounded up: what is shown of a least budget is then enough.
    """
    for scale, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if madds >= 0.999995 * scale:  # what would be rounded up to 1000.00 belongs to the next letter
            shown = -(-madds * 100 // scale) / 100 if up else madds / scale
            return f"{shown:.2f}{letter}"
    return str(madds)


def _count(number: Any, given: object) -> int:
    try:
        count = int(number)
    except (ValueError, OverflowError) as error:
        raise BudgetError(f"{GRAMMAR}; {_got(given)}") from error
    if not number > 0 or count >= LIMIT:
        raise BudgetError(f"{GRAMMAR}, below 2**62; {_got(given)}")
    return count


def _float(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _got(value: object) -> str:
    """The value and its type, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"got an int of {value.bit_length()} bits"  # Python refuses to print the largest
    return f"got {reprlib.repr(value)} of type {type(value).__name__}"
