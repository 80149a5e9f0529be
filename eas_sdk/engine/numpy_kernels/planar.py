"""Depthwise convolution of planar maps, through the BLAS.

k x k multiply-adds for each value are too few for numpy's own loops to be fast, and enough for the BLAS. Let x be a
channel's padded plane, flattened, and X[dx, i] = x[i + dx] its k shifted copies. Row dy of

    G = weight [k, k] @ X

is the plane convolved along its rows with row dy of the kernel, so the depthwise convolution is the shifted sum

    out[i] = sum over dy of G[dy, i + dy * side].

That sum is a product too: the view of G whose rows start one plane and one map row apart is an ordinary matrix to the
BLAS, and a vector of ones multiplies it. Nothing is computed in vain but the k - 1 columns at the right border, where
the shift runs into the next row. With a stride, rows and columns are kept apart by phase (see `Window`), which leaves
both products as they are.

A 1x1 expansion in front is computed block by block of channels straight into the padded planes, so that the expanded
map, the largest of the network, never exists as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.numpy_kernels.arena import LINE_VALUES
from eas_sdk.engine.numpy_kernels.blocks import length
from eas_sdk.engine.numpy_kernels.epilogue import Epilogue
from eas_sdk.engine.numpy_kernels.expansion import Expansion
from eas_sdk.engine.numpy_kernels.plan import ONE, ZERO, Builder, copy, strided
from eas_sdk.engine.numpy_kernels.window import Window, places
from eas_sdk.engine.protocol import Array

COPIES_BYTES = 600 * 1024
"""Size of the shifted copies X of one block of channels; G is as large."""

EXPANDED_BYTES = 384 * 1024
"""Size of one block of expanded channels, several of the blocks above."""

EXPANDED_CHANNELS = 16
"""Fewer channels in a block of expanded channels would waste the BLAS."""


@dataclass(frozen=True)
class PlanarDepthwise:
    """Depthwise convolution of planes, see above.

    Attributes:
        weight: [C, k, k], rows and columns sorted by the phase that they meet.
        expansion: the 1x1 convolution that makes the input, if it is to be computed here.
    """

    window: Window
    weight: Array
    epilogue: Epilogue
    expansion: Expansion | None

    @classmethod
    def make(cls, window: Window, weight: Array, epilogue: Epilogue, expansion: Expansion | None) -> PlanarDepthwise:
        """Pack `weight` [k, k, C]."""
        order = [tap for phase in window.phases for tap in range(phase.index, window.kernel, window.stride)]
        by_channel = np.ascontiguousarray(weight[np.ix_(order, order)].transpose(2, 0, 1))
        return cls(window, by_channel, epilogue, expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        window, channels = self.window, len(self.weight)
        block, wide = self._block_sizes(plan.batch)
        shape = (wide, window.stride, window.stride, plan.batch, window.side, window.side)
        out = plan.result(channels, plan.batch * window.out**2)
        with ExitStack() as memory:
            if self.expansion:
                source = self._sorted_with_ones(plan, source, memory)
            # The shifted copies of the last plane run up to kernel - 1 values past its end.
            padded = memory.enter_context(plan.scratch(math.prod(shape) + window.kernel - 1))
            plan.call(copy, ZERO, out=padded)
            planes = padded[: math.prod(shape)].reshape(shape)
            for first in range(0, channels, wide):
                part = slice(first, min(first + wide, channels))
                self._fill(plan, part, source, planes[: length(part)])
                for start in range(part.start, part.stop, block):
                    few = slice(start, min(start + block, part.stop))
                    self._convolve(plan, few, padded, start - part.start, out[few])
        return out

    def _block_sizes(self, batch: int) -> tuple[int, int]:
        """How many channels are convolved, and how many are expanded, at a time."""
        window, channels = self.window, len(self.weight)
        block = max(1, COPIES_BYTES // (4 * window.kernel * batch * window.side**2))
        if block > 8:
            block -= block % 8
        wide = max(EXPANDED_CHANNELS, EXPANDED_BYTES // (4 * batch * window.pixels))
        wide = max(block, wide - wide % block)
        return min(block, channels), min(wide, channels)

    def _sorted_with_ones(self, plan: Builder, source: Array, memory: ExitStack) -> Array:
        """The expansion's input with its pixels sorted by phase (it takes them in any order), and a channel of ones."""
        flat = memory.enter_context(plan.scratch((len(source) + 1) * plan.batch * self.window.pixels))
        matrix = flat.reshape(len(source) + 1, -1)
        for place in places(self.window, self.window, plan.batch):
            plan.call(copy, place.of_map(source), out=place.of_sorted(matrix[:-1]))
        plan.call(copy, ONE, out=matrix[-1])
        return matrix

    def _fill(self, plan: Builder, part: slice, source: Array, planes: Array) -> None:
        """Channels `part` of the input into padded planes."""
        if self.expansion is None:
            for place in places(self.window, self.window, plan.batch):
                plan.call(copy, place.of_map(source[part]), out=place.of_planes(planes))
            return
        with plan.scratch(length(part) * source.shape[1]) as flat:
            expanded = flat.reshape(length(part), -1)
            self.expansion.emit(plan, part, source, expanded)
            for place in places(self.window, self.window, plan.batch):
                plan.call(copy, place.of_sorted(expanded), out=place.of_planes(planes))

    def _convolve(self, plan: Builder, part: slice, padded: Array, first: int, out: Array) -> None:
        """Channels `part`, whose padded planes begin at plane `first`, into `out`."""
        window, kernel, side, stride = self.window, self.window.kernel, self.window.side, self.window.stride
        count, plane = length(part), plan.batch * side**2
        row = -(-plane // LINE_VALUES) * LINE_VALUES  # rows of X and G begin on cache lines
        shifted_row = row + side  # from one row of the shifted sum's matrix to the next
        products_size = -(-kernel * shifted_row // LINE_VALUES) * LINE_VALUES
        with (
            plan.scratch(count * kernel * row) as copies_flat,
            plan.scratch(count * products_size) as products,
            plan.scratch(count * row) as sums,
        ):
            copies = copies_flat.reshape(count, kernel, row)[:, :, :plane]
            top = 0
            for rows in window.phases:
                left = 0
                for columns in window.phases:
                    start = ((first * stride + rows.index) * stride + columns.index) * plane
                    shifted = strided(padded, start, (count, columns.taps, plane), (stride**2 * plane, 1, 1))
                    plan.call(copy, shifted, out=copies[:, left : left + columns.taps])
                    left += columns.taps
                product = strided(products, top * shifted_row, (count, rows.taps, plane), (products_size, row, 1))
                plan.call(np.matmul, self.weight[part, top : top + rows.taps], copies, out=product)
                top += rows.taps
            # Past `used` lies no output, and what the sum would read there is uninitialised.
            used = plane - (side - window.out) * side
            terms = strided(products, 0, (count, kernel, used), (products_size, shifted_row, 1))
            total = strided(sums, 0, (count, 1, used), (row, row, 1))
            plan.call(np.matmul, np.ones((1, kernel), np.float32), terms, out=total)
            maps = (count, plan.batch, window.out, window.out)
            valid = strided(sums, 0, maps, (row, side**2, side, 1))
            plan.call(copy, valid, out=out.reshape(maps))
        self.epilogue.channels(part).emit(plan, out)
