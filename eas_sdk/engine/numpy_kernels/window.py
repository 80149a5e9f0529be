"""The geometry of a window that slides over a zero-padded square map: one axis each, or both where they are alike."""

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
    """One axis of a window of `kernel` taps, with `padding` zeros before the map and `out` positions.

    What the window meets behind the map is zero too, however far the last position reaches.

    A padded map is kept by the phases of the stride: row r is row r // stride of phase r % stride. The positions of the
    window's row t then meet consecutive rows, from t // stride of phase t % stride.
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
        """How many pixels of the map a window meets that is alike along both axes."""
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


def places(rows: Window, columns: Window, batch: int) -> Iterator[Place]:
    """All places that the window meets, whose axes are these."""
    first = 0
    for row in rows.phases:
        for column in columns.phases:
            yield Place(row, column, batch, rows.size, first)
            first += batch * row.count * column.count


def crop(size: int, kernel: int, stride: int, padding: int, out: int) -> tuple[Window, slice]:
    """An axis without the taps that meet nothing but padding, and the kernel's rows or columns that are left."""
    first = max(0, padding - stride * (out - 1))
    stop = min(kernel, size + padding)
    return Window(size, stop - first, stride, padding - first, out), slice(first, stop)
