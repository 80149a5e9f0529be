"""The geometry of a square window that slides over a zero-padded square map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from eas_sdk.engine.protocol import Array


@dataclass(frozen=True)
class Phase:
    """The rows (or the columns) of a padded map whose index is `index` modulo the stride.

    Attributes:
        inside: those of them that hold the map; the others are zero.
        source: the rows of the map that they hold.
        taps: how many rows of the window meet this phase.
    """

    index: int
    inside: slice
    source: slice
    taps: int

    @property
    def count(self) -> int:
        """Rows of the map in this phase."""
        return int(self.inside.stop - self.inside.start)


@dataclass(frozen=True)
class Window:
    """A window of kernel x kernel, with `padding` zeros before the map and `out` positions a side.

    A padded map is kept as stride x stride phases of side x side: row r is row r // stride of phase r % stride. The
    positions of the window's row t then meet consecutive rows, from t // stride of phase t % stride.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    out: int

    @cached_property
    def side(self) -> int:
        """Rows of one phase."""
        return self.out + (self.kernel - 1) // self.stride

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that the window meets."""
        return tuple(self._phase(index) for index in range(min(self.stride, self.kernel)))

    @cached_property
    def pixels(self) -> int:
        """How many pixels of the map the window meets."""
        return sum(phase.count for phase in self.phases) ** 2

    def _phase(self, index: int) -> Phase:
        first = max(0, -((index - self.padding) // self.stride))  # rounds up
        row = self.stride * first + index - self.padding
        count = max(0, min(self.side - first, -((row - self.size) // self.stride)))
        taps = len(range(index, self.kernel, self.stride))
        return Phase(index, slice(first, first + count), slice(row, row + self.stride * count, self.stride), taps)


@dataclass(frozen=True)
class Place:
    """The pixels of one phase of rows and one of columns, wherever they are kept."""

    rows: Phase
    columns: Phase
    batch: int
    size: int
    first: int

    def of_map(self, matrix: Array) -> Array:
        """In channels x positions."""
        maps = matrix.reshape(len(matrix), self.batch, self.size, self.size)
        return maps[:, :, self.rows.source, self.columns.source]

    def of_sorted(self, matrix: Array) -> Array:
        """In channels x positions with the positions sorted by phase; the rows may be part of longer ones."""
        shape = (len(matrix), self.batch, self.rows.count, self.columns.count)
        return matrix[:, self.first : self.first + math.prod(shape[1:])].reshape(shape)

    def of_planes(self, planes: Array) -> Array:
        """In padded planes, channels x stride x stride x N x side x side."""
        return planes[:, self.rows.index, self.columns.index, :, self.rows.inside, self.columns.inside]


def places(window: Window, batch: int) -> Iterator[Place]:
    """All places that the window meets."""
    first = 0
    for rows in window.phases:
        for columns in window.phases:
            yield Place(rows, columns, batch, window.size, first)
            first += batch * rows.count * columns.count


def crop(size: int, kernel: int, stride: int, padding: int, out: int) -> tuple[Window, slice]:
    """A window without the taps that meet nothing but padding, and the kernel's rows (and columns) that are left."""
    first = max(0, padding - stride * (out - 1))
    stop = min(kernel, size + padding)
    return Window(size, stop - first, stride, padding - first, out), slice(first, stop)
