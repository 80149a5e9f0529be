"""JSON as RFC 8259 has it, from a source that may be hostile."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any


def loads(text: str) -> Any:
    """json.loads without its extensions and its traps.

    Raises:
        ValueError: not JSON; NaN or Infinity; a number beyond float64; an integer of more than 20 characters
            (int() takes quadratic time); a key that stands twice or holds a lone surrogate.
        RecursionError: nested too deeply.
    """
    return json.loads(
        text,
        object_pairs_hook=_unique_keys,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_real,
    )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        key, times = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"keys must be unique, and {key[:80]!r} stands {times} times")
    for key in result:
        key.encode()  # UnicodeEncodeError, a ValueError, on a lone surrogate
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"numbers must be finite, not {text}")


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"integers must have at most 20 characters, not {len(text)}")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"numbers must be finite as float64, not {text[:80]}")
    return value
