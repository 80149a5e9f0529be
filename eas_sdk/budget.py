"""A budget: the most that a network may cost. Multiply-adds today; other units join this value."""

from __future__ import annotations

import numbers
import re
import reprlib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from eas_sdk.errors import BudgetError

LIMIT = 2**62
"""Budgets lie below it, so that sums of multiply-adds fit int64."""

_GRAMMAR = "a budget is a positive number of multiply-adds below 2**62: 4_000_000, '4M', '350k' or '0.3G'"
_TEXT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)\s*([kKmMgG]?)\s*(?:[mM][aA][dD][dD][sS])?\s*")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Budget:
    """Upper bound on a network's cost.

    Attributes:
        madds: multiply-adds of one image, squeeze-and-excitation included.
    """

    madds: int

    def __post_init__(self) -> None:
        if type(self.madds) is not int or not 0 <= self.madds < LIMIT:
            raise BudgetError(f"{_GRAMMAR} (Budget.parse reads them); got {_brief(self.madds)}")

    @classmethod
    def parse(cls, value: object) -> Budget:
        """A budget from a number of multiply-adds (rounded down), a text such as "4M", or a Budget.

        Raises:
            BudgetError: anything else; the message holds the grammar.
        """
        if isinstance(value, Budget):
            return value
        number: Any
        if isinstance(value, str) and len(value) <= 64 and (match := _TEXT.fullmatch(value)):
            number = Fraction(match[1]) * _SCALE[match[2].lower()]  # exact: 4.1 * 10**6 < 4_100_000 in floats
        elif isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool):
            number = value
        else:
            raise BudgetError(f"{_GRAMMAR}; got {_brief(value)}")
        try:
            madds = int(number)
        except (ValueError, OverflowError) as error:
            raise BudgetError(f"{_GRAMMAR}; got {_brief(value)}") from error
        if not number > 0:
            raise BudgetError(f"{_GRAMMAR}; got {_brief(value)}")
        return cls(madds)

    def __str__(self) -> str:
        return format_madds(self.madds)


def format_madds(madds: int) -> str:
    """Multiply-adds for people: '4.02M'."""
    for scale, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if madds >= 0.999995 * scale:  # what would be rounded up to 1000.00 belongs to the next letter
            return f"{madds / scale:.2f}{letter}"
    return str(madds)


def _brief(value: object) -> str:
    """The value and its type, short enough for a message."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"  # Python refuses to print the largest
    return f"{reprlib.repr(value)} of type {type(value).__name__}"
