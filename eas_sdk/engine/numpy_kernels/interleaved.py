"""Depthwise convolution of interleaved maps, as one einsum.

A padded row of pixels x channels is contiguous, so the contribution of one tap to a piece of a row is a multiply-add of
two long vectors: the row shifted by the tap, and the tap's weights repeated for each pixel of the piece. One einsum
runs over rows, taps and pieces and adds each product to the output in a single pass, where numpy's multiply and add
would each be a pass of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.numpy_kernels.blocks import blocks, length, positions
from eas_sdk.engine.numpy_kernels.epilogue import Epilogue
from eas_sdk.engine.numpy_kernels.expansion import Expansion, with_ones
from eas_sdk.engine.numpy_kernels.plan import ZERO, Builder, copy, strided
from eas_sdk.engine.numpy_kernels.window import Window
from eas_sdk.engine.protocol import Array

PIECE_VALUES = 1400
"""Most values in one piece of a row: the pieces that meet in the einsum stay in a first-level cache of 32 kB."""


@dataclass(frozen=True)
class InterleavedDepthwise:
    """Depthwise convolution of interleaved rows, see above.

    Attributes:
        weight: [k, k, pixels x C], repeated for the pixels of a piece.
        expansion: the 1x1 convolution that makes the input, if it is to be computed here.
    """

    window: Window
    channels: int
    weight: Array
    epilogue: Epilogue
    expansion: Expansion | None

    @classmethod
    def make(
        cls, window: Window, weight: Array, epilogue: Epilogue, expansion: Expansion | None
    ) -> InterleavedDepthwise:
        """Pack `weight` [k, k, C]."""
        channels = weight.shape[2]
        fits = [n for n in range(1, window.out + 1) if window.out % n == 0 and n * channels <= PIECE_VALUES]
        pixels = max(fits, default=1)
        # With a stride, neighbouring outputs meet pixels that are not neighbours.
        taps = np.tile(weight, pixels if window.stride == 1 else 1)
        return cls(window, channels, taps, epilogue.interleaved(pixels), expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        window, batch, channels, kernel = self.window, plan.batch, self.channels, self.window.kernel
        side = window.stride * (window.out - 1) + kernel
        row, line, piece = side * channels, window.out * channels, self.weight.shape[2]
        shape = (batch, window.out, line // piece, kernel, kernel, piece)
        strides = (side * row, window.stride * row, window.stride * piece, row, channels, 1)
        out = plan.result(channels, batch * window.out**2, interleaved=True)
        sums = out.T.reshape(batch, window.out, line // piece, piece)
        with plan.scratch(batch * side * row) as padded:
            self._fill(plan, inputs[0], padded.reshape(batch, side, row))
            met = strided(padded, 0, shape, strides)
            for images, rows in blocks(batch, window.out, 4 * line):
                block = sums[images, rows]
                plan.call(np.einsum, "nhpyxc,yxc->nhpc", met[images, rows], self.weight, out=block)
                self.epilogue.emit(plan, block.reshape(-1, self.epilogue.bias.size))
        return out

    def _fill(self, plan: Builder, source: Array, padded: Array) -> None:
        """The input, through the expansion if there is one, into `padded` [N, rows, columns x C]."""
        size, channels, before = self.window.size, self.channels, self.window.padding
        kept = min(size, padded.shape[1] - before)  # with a stride, the last window may end before the map does
        rows, columns = slice(before, before + kept), slice(before * channels, (before + kept) * channels)
        inside = padded[:, rows, columns]
        border = (
            padded[:, : rows.start],
            padded[:, rows.stop :],
            padded[:, rows, : columns.start],
            padded[:, rows, columns.stop :],
        )
        for part in border:
            if part.size:
                plan.call(copy, ZERO, out=part)
        if self.expansion is None:
            maps = source.reshape(channels, plan.batch, size, size)[:, :, :kept, :kept]
            pixels = inside.reshape(plan.batch, kept, kept, channels)
            plan.call(copy, maps.transpose(1, 2, 3, 0), out=pixels)
        else:
            self._expand(plan, self.expansion, source, inside)

    def _expand(self, plan: Builder, expansion: Expansion, source: Array, inside: Array) -> None:
        """The expansion of `source` into `inside` [N, rows, columns x C], which may be smaller than the map."""
        size, channels = self.window.size, self.channels
        _, kept, width = inside.shape
        with with_ones(plan, source) as extended:
            for images, rows in blocks(plan.batch, size, 4 * size * channels):
                here = positions(images, rows, size)
                with plan.scratch(length(here) * channels) as expanded:
                    matrix = expanded.reshape(-1, channels).T
                    expansion.emit(plan, slice(0, channels), extended[:, here], matrix)
                    lines = expanded.reshape(length(images), length(rows), size * channels)
                    out = inside[images, rows.start : min(rows.stop, kept)]
                    plan.call(copy, lines[:, : out.shape[1], :width], out=out)
