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
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from eas_sdk.engine.arrays import Array, strided
from eas_sdk.engine.epilogue import Epilogue
from eas_sdk.engine.kernels import Pointwise, length
from eas_sdk.engine.plan import Builder, copy
from eas_sdk.engine.window import Phase, Window

COPIES_BYTES = 512 * 1024
"""Size of the shifted copies X of one block of channels; G is as large."""


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
    expansion: Pointwise | None

    @classmethod
    def make(
        cls, window: Window, weight: Array, epilogue: Epilogue, expansion: Pointwise | None
    ) -> PlanarDepthwise:
        """Pack `weight` [k, k, C]."""
        order = window.taps_by_phase
        by_channel = np.ascontiguousarray(weight[np.ix_(order, order)].transpose(2, 0, 1))
        return cls(window, by_channel, epilogue, expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        window, kernel, channels = self.window, self.window.kernel, len(self.weight)
        plane = plan.batch * window.side**2
        block = max(1, COPIES_BYTES // (4 * kernel * plane))
        shape = (block, window.stride, window.stride, plan.batch, window.side, window.side)
        # The shifted copies of the last plane run up to kernel - 1 values past its end.
        padded = plan.bordered((window, block), math.prod(shape) + kernel)
        planes = padded[: math.prod(shape)].reshape(shape)
        out = plan.result(channels, plan.batch * window.out**2)
        resort = self.expansion is not None and window.stride > 1
        with plan.scratch(len(source) * plan.batch * window.met if resort else 0) as (flat,):
            if resort:
                # A 1x1 convolution takes the pixels in any order: sort the few channels before it by phase.
                by_phase = flat.reshape(len(source), -1)
                for place in self._places(plan.batch):
                    plan.call(copy, place.of_map(source), out=place.of_sorted(by_phase))
                source = by_phase
            for first in range(0, channels, block):
                part = slice(first, min(first + block, channels))
                self._fill(plan, part, source, planes[: length(part)])
                self._convolve(plan, part, padded, out[part])
        return out

    def _fill(self, plan: Builder, part: slice, source: Array, planes: Array) -> None:
        places = list(self._places(plan.batch))
        if self.expansion is None:
            for place in places:
                plan.call(copy, place.of_map(source[part]), out=place.of_planes(planes))
            return
        with plan.scratch(len(planes) * source.shape[1]) as (flat,):
            block = flat.reshape(len(planes), -1)
            plan.call(np.matmul, self.expansion.weight[part], source, out=block)
            stores = [(place.of_sorted, place.of_planes(planes)) for place in places]
            self.expansion.epilogue.channels(part).emit(plan, block, stores)

    def _places(self, batch: int) -> Iterator[_Place]:
        first = 0
        for rows in self.window.phases:
            for columns in self.window.phases:
                place = _Place(rows, columns, batch, self.window.size, first)
                first += batch * rows.count * columns.count
                yield place

    def _convolve(self, plan: Builder, part: slice, padded: Array, out: Array) -> None:
        window, kernel, side = self.window, self.window.kernel, self.window.side
        plane, count = plan.batch * side**2, length(part)
        pitch = plane + side
        with plan.scratch(count * kernel * plane, count * kernel * pitch, count * plane) as (
            shifted,
            products,
            sums,
        ):
            copies = shifted.reshape(count, kernel, plane)
            top = 0
            for rows in window.phases:
                left = 0
                for columns in window.phases:
                    start = (rows.index * window.stride + columns.index) * plane
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
            shape = (count, plan.batch, window.out, window.out)
            valid = partial(_maps, shape=shape, side=side)
            self.epilogue.channels(part).emit(
                plan, strided(sums, 0, (count, used), (plane, 1)), [(valid, out.reshape(shape))]
            )


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


def _maps(block: Array, shape: tuple[int, ...], side: int) -> Array:
    """The maps within rows of flattened planes of `side` x `side`."""
    return as_strided(block, shape, (block.strides[0], 4 * side * side, 4 * side, 4))
