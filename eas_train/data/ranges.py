"""Bounds of the numbers in a dataclass of settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


def check_ranges(settings: Any, bounds: Callable[[str], tuple[float, float]]) -> None:
    """Raise ValueError for the first number of a dataclass that lies outside the bounds of its name; others pass."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, str):
            continue
        least, most = bounds(field.name)
        if not least <= value <= most:
            raise ValueError(f"{field.name} lies between {least:g} and {most:g}; got {value}")
