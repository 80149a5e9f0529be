"""The array type of the engines, and views of it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]

ALIGNMENT_BYTES = 64
"""A cache line, and the widest vector register of today's processors."""


def strided(flat: Array, start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view into the contiguous `flat` with start and strides counted in elements.

    numpy checks that it stays inside `flat`, and makes it in a fraction of the time of as_strided.
    """
    buffer: Any = flat
    return np.ndarray(shape, np.float32, buffer, 4 * start, tuple(4 * stride for stride in strides))
