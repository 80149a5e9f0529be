"""The geometry of a square window that slides over a zero-padded square map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Phase:
    """The rows (or columns) of a padded map whose index is `index` modulo the stride.

    Attributes:
        inside: those of them that hold the map, the others are zero.
        source: the rows of the map that they hold.
        taps: how many rows of the window meet them.
    """

    index: int
    inside: slice
    source: slice
    taps: int

    @property
    def count(self) -> int:
        return self.inside.stop - self.inside.start


@dataclass(frozen=True)
class Window:
    """A window of `kernel` x `kernel` over a map of `size` x `size` with `padding` before it, and `out` positions a side.

    A padded map is kept as stride x stride phases of `side` x `side`: row r is row r // stride of phase r % stride.
    Tap t of the window then meets the contiguous rows t // stride to t // stride + out of phase t % stride.
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
    def taps_by_phase(self) -> list[int]:
        """The window's rows, those of the first phase first."""
        return [tap for phase in self.phases for tap in range(phase.index, self.kernel, self.stride)]

    @cached_property
    def met(self) -> int:
        """How many pixels of the map the window meets."""
        return sum(phase.count for phase in self.phases) ** 2

    def _phase(self, index: int) -> Phase:
        first = max(0, -((index - self.padding) // self.stride))  # ceil((padding - index) / stride)
        row = self.stride * first + index - self.padding
        count = max(0, min(self.side - first, -((row - self.size) // self.stride)))
        taps = len(range(index, self.kernel, self.stride))
        return Phase(index, slice(first, first + count), slice(row, row + self.stride * count, self.stride), taps)


def crop(size: int, kernel: int, stride: int, padding: int, out: int) -> tuple[Window, slice]:
    """A window without the taps that meet only padding, and which of the kernel's rows it keeps."""
    first = min(max(0, padding - stride * (out - 1)), kernel - 1)
    stop = max(min(kernel, size + padding), first + 1)
    return Window(size, stop - first, stride, padding - first, out), slice(first, stop)
