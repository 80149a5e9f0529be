"""Memory of a plan: a few large slabs, parts of which are handed out, returned and handed out again."""

from __future__ import annotations

import bisect

import numpy as np

from eas_sdk.engine.arrays import ALIGNMENT_BYTES, Array

SLAB_VALUES = 1 << 20
"""Values in a slab: 4 MiB, the size from which numpy asks Linux for huge pages."""

_STEP = ALIGNMENT_BYTES // 4

Lease = tuple[int, int, int]
"""Slab, start and stop of a part in use."""


class Arena:
    """Hands out the first gap that is large enough, so that the same addresses, hot in the cache, are used again."""

    def __init__(self) -> None:
        self._slabs: list[Array] = []
        self._gaps: list[Lease] = []  # sorted, never adjacent

    @property
    def size_bytes(self) -> int:
        """Memory reserved so far; the system provides only what has been written to."""
        return sum(slab.nbytes for slab in self._slabs)

    def take(self, count: int) -> tuple[Lease, Array]:
        """A part of `count` uninitialised values that starts on a cache line, as a lease and a flat array."""
        length = -(-count // _STEP) * _STEP
        for i, (slab, start, stop) in enumerate(self._gaps):
            if stop - start >= length:
                break
        else:
            i, slab, start = len(self._gaps), len(self._slabs), 0
            stop = max(SLAB_VALUES, length)
            self._slabs.append(_aligned(stop))
            self._gaps.append((slab, start, stop))
        remaining = (slab, start + length, stop)
        self._gaps[i : i + 1] = [remaining] if remaining[1] < stop else []
        return (slab, start, start + length), self._slabs[slab][start : start + count]

    def give(self, lease: Lease) -> None:
        """Return a part; whoever still uses its array must be done before the next taker writes to it."""
        slab, start, stop = lease
        if start == stop:
            return
        i = bisect.bisect(self._gaps, lease)
        if i < len(self._gaps) and self._gaps[i][:2] == (slab, stop):
            stop = self._gaps.pop(i)[2]
        if i and self._gaps[i - 1][::2] == (slab, start):
            start = self._gaps.pop(i - 1)[1]
            i -= 1
        self._gaps.insert(i, (slab, start, stop))


def _aligned(count: int) -> Array:
    memory = np.empty(4 * count + ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + 4 * count].view(np.float32)
