"""Memory of a plan: a few large slabs, parts of which are handed out, returned and handed out again."""

from __future__ import annotations

import bisect

import numpy as np

from eas_sdk.engine.protocol import Array

SLAB_VALUES = 1 << 20
"""Values in a slab: 4 MiB, the size from which numpy asks Linux for huge pages."""

LINE_VALUES = 16
"""Every part starts on a cache line of 64 bytes, which is also the widest vector register."""

Lease = tuple[int, int, int]
"""Slab, start and stop of a part in use."""


class Arena:
    """Hands out the first gap that is large enough, so that the same addresses, hot in the cache, are used again."""

    def __init__(self) -> None:
        self._slabs: list[Array] = []
        self._gaps: list[Lease] = []  # sorted, and never two adjacent ones

    @property
    def size_bytes(self) -> int:
        """Memory reserved so far; the system provides only the pages that have been written to."""
        return sum(slab.nbytes for slab in self._slabs)

    def take(self, count: int) -> tuple[Lease, Array]:
        """A part of `count` uninitialised values, as a lease and a flat array."""
        length = -(-count // LINE_VALUES) * LINE_VALUES
        index = next((i for i, (_, start, stop) in enumerate(self._gaps) if stop - start >= length), None)
        if index is None:
            index = len(self._gaps)
            self._gaps.append((len(self._slabs), 0, max(SLAB_VALUES, length)))
            self._slabs.append(_aligned(max(SLAB_VALUES, length)))
        slab, start, stop = self._gaps[index]
        self._gaps[index : index + 1] = [(slab, start + length, stop)] if start + length < stop else []
        return (slab, start, start + length), self._slabs[slab][start : start + count]

    def give(self, lease: Lease) -> None:
        """Return a part. Its array must not be used after a later part, which may overlap it, is written to."""
        slab, start, stop = lease
        index = bisect.bisect(self._gaps, lease)
        if index < len(self._gaps) and self._gaps[index][:2] == (slab, stop):
            stop = self._gaps.pop(index)[2]
        if index and self._gaps[index - 1][::2] == (slab, start):
            index -= 1
            start = self._gaps.pop(index)[1]
        self._gaps.insert(index, (slab, start, stop))


def _aligned(count: int) -> Array:
    line_bytes = 4 * LINE_VALUES
    memory = np.empty(4 * count + line_bytes, np.uint8)
    start = -memory.ctypes.data % line_bytes
    return memory[start : start + 4 * count].view(np.float32)
