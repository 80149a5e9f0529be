"""Depthwise convolution over planar maps, through the BLAS.

k x k multiply-adds for each value are too few for vector instructions through numpy's own loops, and enough for the
BLAS. With X[dx, i] = x[i + dx], the k shifted copies of a channel's flattened padded plane, row dy of

    G = weight [k, k] @ X

is the plane convolved along its rows with row dy of the kernel, and the depthwise convolution is the shifted sum

    out[i] = sum over dy of G[dy, i + dy * side].

That sum is a second product: the view of G whose rows start one plane and one map row apart is an ordinary matrix to
the BLAS; it is multiplied by a vector of ones. Nothing is computed in vain but the k - 1 columns at the right border,
where the flattened shift wraps into the next row. With a stride, rows and columns are kept apart by phase
(`Window.phases`), which leaves both products as they are.

A 1x1 expansion in front is computed block by block of channels straight into the padded planes, so that the expanded
map, the largest of the network, never exists as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.arrays import Array, strided
from eas_sdk.engine.epilogue import Epilogue
from eas_sdk.engine.expansion import Expansion
from eas_sdk.engine.kernels import length
from eas_sdk.engine.plan import ONE, ZERO, Builder, copy, fill
from eas_sdk.engine.window import Phase, Window

COPIES_BYTES = 600 * 1024
"""Size of the shifted copies X of one block of channels; G is as large."""

EXPANDED_BYTES = 1024 * 1024
"""Size of one block of expanded channels."""


@dataclass(frozen=True)
class PlanarDepthwise:
    """Depthwise convolution of planes, see above.

    Attributes:
        weight: [C, k, k], rows and columns in the order of `window.taps_by_phase`.
        expansion: the 1x1 convolution that makes the input, if it is to be computed here.
    """

    window: Window
    weight: Array
    epilogue: Epilogue
    expansion: Expansion | None

    @classmethod
    def make(
        cls, window: Window, weight: Array, epilogue: Epilogue, expansion: Expansion | None
    ) -> PlanarDepthwise:
        """Pack `weight` [k, k, C]."""
        order = window.taps_by_phase
        by_channel = np.ascontiguousarray(weight[np.ix_(order, order)].transpose(2, 0, 1))
        return cls(window, by_channel, epilogue, expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        window, kernel, channels = self.window, self.window.kernel, len(self.weight)
        plane = plan.batch * window.side**2
        block = _block(COPIES_BYTES, kernel * plane, channels)
        wide = _block(EXPANDED_BYTES, plan.batch * window.met, channels)
        wide = min(channels, max(wide // block, 1) * block)
        shape = (wide, window.stride, window.stride, plan.batch, window.side, window.side)
        out = plan.result(channels, plan.batch * window.out**2)
        with ExitStack() as memory:
            if self.expansion:
                source = self._sorted_with_ones(plan, source, memory)
            # The shifted copies of the last plane run up to kernel - 1 values past its end.
            padded = memory.enter_context(plan.scratch(math.prod(shape) + kernel))
            plan.call(fill, ZERO, out=padded)
            planes = padded[: math.prod(shape)].reshape(shape)
            for first in range(0, channels, wide):
                part = slice(first, min(first + wide, channels))
                self._fill(plan, part, source, planes[: length(part)])
                for start in range(part.start, part.stop, block):
                    few = slice(start, min(start + block, part.stop))
                    self._convolve(plan, few, padded, start - part.start, out[few])
        return out

    def _sorted_with_ones(self, plan: Builder, source: Array, memory: ExitStack) -> Array:
        """The pixels of the expansion's input sorted by phase (it takes them in any order), and a channel of ones."""
        positions = plan.batch * self.window.met
        flat = memory.enter_context(plan.scratch((len(source) + 1) * positions))
        matrix = flat.reshape(len(source) + 1, positions)
        for place in self._places(plan.batch):
            plan.call(copy, place.of_map(source), out=place.of_sorted(matrix[:-1]))
        plan.call(fill, ONE, out=matrix[-1])
        return matrix

    def _fill(self, plan: Builder, part: slice, source: Array, planes: Array) -> None:
        """Channels `part` of the input into padded planes."""
        if self.expansion is None:
            for place in self._places(plan.batch):
                plan.call(copy, place.of_map(source[part]), out=place.of_planes(planes))
            return
        with plan.scratch(length(part) * source.shape[1]) as flat:
            expanded = flat.reshape(length(part), -1)
            self.expansion.emit(plan, part, source, expanded)
            for place in self._places(plan.batch):
                plan.call(copy, place.of_sorted(expanded), out=place.of_planes(planes))

    def _places(self, batch: int) -> Iterator[_Place]:
        first = 0
        for rows in self.window.phases:
            for columns in self.window.phases:
                place = _Place(rows, columns, batch, self.window.size, first)
                first += batch * rows.count * columns.count
                yield place

    def _convolve(self, plan: Builder, part: slice, padded: Array, offset: int, out: Array) -> None:
        window, kernel, side = self.window, self.window.kernel, self.window.side
        plane, count = plan.batch * side**2, length(part)
        pitch = plane + side
        with (
            plan.scratch(count * kernel * plane) as shifted,
            plan.scratch(count * kernel * pitch) as products,
            plan.scratch(count * plane) as sums,
        ):
            copies = shifted.reshape(count, kernel, plane)
            top = 0
            for rows in window.phases:
                left = 0
                for columns in window.phases:
                    start = ((offset * window.stride + rows.index) * window.stride + columns.index) * plane
                    between = window.stride**2 * plane
                    views = strided(padded, start, (count, columns.taps, plane), (between, 1, 1))
                    plan.call(copy, views, out=copies[:, left : left + columns.taps])
                    left += columns.taps
                product = strided(products, top * pitch, (count, rows.taps, plane), (kernel * pitch, plane, 1))
                plan.call(np.matmul, self.weight[part, top : top + rows.taps], copies, out=product)
                top += rows.taps
            # Past `used` lies no output: those positions stay uninitialised and out of the arithmetic.
            used = plane - (side - window.out) * side
            terms = strided(products, 0, (count, kernel, used), (kernel * pitch, pitch, 1))
            plan.call(np.matmul, _ones(kernel), terms, out=strided(sums, 0, (count, 1, used), (plane, used, 1)))
            block = strided(sums, 0, (count, used), (plane, 1))
            self.epilogue.channels(part).emit(plan, block)
            valid = sums.reshape(count, plan.batch, side, side)[..., : window.out, : window.out]
            plan.call(copy, valid, out=out.reshape(valid.shape))


@dataclass(frozen=True)
class _Place:
    """The pixels of one phase of rows and one of columns, in a map, in a map sorted by phase, and in padded planes."""

    rows: Phase
    columns: Phase
    batch: int
    size: int
    first: int

    def of_map(self, matrix: Array) -> Array:
        maps = matrix.reshape(len(matrix), self.batch, self.size, self.size)
        return maps[:, :, self.rows.source, self.columns.source]

    def of_sorted(self, matrix: Array) -> Array:
        shape = (len(matrix), self.batch, self.rows.count, self.columns.count)
        return matrix[:, self.first : self.first + math.prod(shape[1:])].reshape(shape)

    def of_planes(self, planes: Array) -> Array:
        return planes[:, self.rows.index, self.columns.index, :, self.rows.inside, self.columns.inside]


def _ones(count: int) -> Array:
    return np.ones((1, count), np.float32)


def _block(size_bytes: int, values: int, channels: int) -> int:
    """How many channels of `values` numbers make a block: a multiple of 8 where more than 8 fit."""
    count = max(1, min(channels, size_bytes // (4 * values)))
    return count // 8 * 8 if count > 8 else count
