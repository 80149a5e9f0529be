"""Fields of a bundle's section "eas", checked one by one.

All raise BundleError where a field is missing or of another type or range.
"""

from __future__ import annotations

import reprlib
from typing import TypeVar

from eas_sdk.errors import BundleError

TEMPERATURE = 1e3
"""Greatest temperature of logits, and the inverse of the smallest."""

T = TypeVar("T")


def sizes(data: object) -> tuple[tuple[int, ...], ...]:
    """Groups of input sizes, in pixels, none twice."""
    groups = get(data, "adapters", list)
    sizes = [size for group in groups if isinstance(group, list) for size in group]
    if (
        not groups
        or not all(isinstance(group, list) and group for group in groups)
        or not all(type(size) is int and size > 0 for size in sizes)
        or len(set(sizes)) < len(sizes)
    ):
        raise BundleError(
            f"'adapters' in the section 'eas' is a list of groups of sizes, none twice; got {reprlib.repr(groups)}"
        )
    return tuple(tuple(group) for group in groups)


def temperatures(data: object) -> tuple[float, ...]:
    """Temperatures of logits, within bounds."""
    values = get(data, "temperatures", list)
    if not values or not all(type(v) in (int, float) and 1 / TEMPERATURE <= v <= TEMPERATURE for v in values):
        raise BundleError(
            f"'temperatures' in the section 'eas' lie between {1 / TEMPERATURE:g} and {TEMPERATURE:g}; "
            f"got {reprlib.repr(values)}"
        )
    return tuple(float(v) for v in values)


def get(data: object, key: str, kind: type[T]) -> T:
    """A field of a type."""
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, kind):
        raise BundleError(f"{key!r} in the section 'eas' is of type {kind.__name__}; got {reprlib.repr(value)}")
    return value


def text(key: str, value: object) -> str:
    """A value that is text."""
    # Lone surrogates, which JSON can escape, cannot be printed.
    if not isinstance(value, str) or not value or value != value.encode(errors="ignore").decode():
        raise BundleError(f"{key!r} in the section 'eas' is non-empty text of valid Unicode; got {reprlib.repr(value)}")
    return value


def texts(data: object, key: str) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(key, value) for value in get(data, key, list))


def triple(data: object, key: str) -> tuple[float, float, float]:
    """Numbers for R, G and B."""
    values = get(data, key, list)
    if len(values) != 3 or any(type(v) not in (int, float) for v in values):
        raise BundleError(
            f"{key!r} in the section 'eas' has one number for each of R, G, B; got {reprlib.repr(values)}"
        )
    r, g, b = map(float, values)
    return r, g, b
