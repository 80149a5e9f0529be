"""Widths of layers, and the bounds of what a file may ask for."""

from __future__ import annotations

import reprlib

from eas_sdk.errors import ArchitectureError

# Every count stays within int64, every loop within reason.
MAX_INPUT_SIZE, MAX_WIDTH, MAX_WIDTH_MULTIPLIER, MAX_CHOICE = 2048, 65536, 16, 99


def make_divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to a multiple of `divisor`, never below `divisor` or 0.9 `value` (MobileNet)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def squeeze_width(hidden: int) -> int:
    """Channels inside a squeeze-and-excitation layer over `hidden` channels."""
    return make_divisible(hidden // 4)


def check_integer(what: str, value: object, low: int, high: int) -> None:
    """Check a count.

    Raises:
        ArchitectureError: it is not an integer from `low` to `high`.
    """
    if type(value) is not int or not low <= value <= high:
        raise ArchitectureError(f"{what} is an integer from {low} to {high}; got {reprlib.repr(value)}")


def check_multiplier(value: float) -> None:
    """Check a width multiplier.

    Raises:
        ArchitectureError: it is not a number above 0, or too large.
    """
    if type(value) not in (int, float) or not 0 < value <= MAX_WIDTH_MULTIPLIER:
        raise ArchitectureError(
            f"width_multiplier is a number above 0, at most {MAX_WIDTH_MULTIPLIER}; got {reprlib.repr(value)}"
        )
