"""A budget: the most that a network may cost. Multiply-adds today; other units join this value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from eas_sdk.errors import BudgetError

_GRAMMAR = "a budget is a positive number of multiply-adds: 4_000_000, '4M', '350k' or '0.3G'"
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?(?:[eE]\+?\d+)?)\s*([kKmMgG]?)\s*(?:[mM][aA][dD][dD][sS])?\s*")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Budget:
    """Upper bound on a network's cost.

    Attributes:
        madds: multiply-adds of one image, squeeze-and-excitation included.
    """

    madds: int

    @classmethod
    def parse(cls, value: object) -> Budget:
        """A budget from a number of multiply-adds, a text such as "4M", or a Budget.

        Raises:
            BudgetError: anything else; the message holds the grammar.
        """
        if isinstance(value, Budget):
            return value
        if isinstance(value, str):
            match = _TEXT.fullmatch(value) if len(value) <= 64 else None
            if match is None:
                raise BudgetError(f"{_GRAMMAR}; got {value[:64]!r}")
            number = float(match[1]) * _SCALE[match[2].lower()]
        elif isinstance(value, bool) or not hasattr(value, "__float__"):
            raise BudgetError(f"{_GRAMMAR}; got {value!r} of type {type(value).__name__}")
        else:
            try:
                number = float(value)
            except (TypeError, ValueError, OverflowError) as error:
                raise BudgetError(f"{_GRAMMAR}; got {value!r}") from error
        if not math.isfinite(number) or not 0 < number < 2**62:
            raise BudgetError(f"{_GRAMMAR}, finite and below 2**62; got {value!r}")
        return cls(int(number))

    def __str__(self) -> str:
        return format_madds(self.madds)


def format_madds(madds: int) -> str:
    """Multiply-adds for people: '4.02M'."""
    for scale, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if madds >= scale:
            return f"{madds / scale:.2f}{letter}"
    return str(madds)
