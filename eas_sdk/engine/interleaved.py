"""Depthwise convolution over interleaved maps, as one einsum.

A padded row of pixels x channels is contiguous, so the contribution of one tap to a piece of a row is a multiply-add of
two long vectors: the row shifted by the tap, and the tap's weights repeated for each pixel of the piece. One einsum
runs over rows, taps and pieces and adds each product to the output in a single pass, where numpy's multiply and add
would each be a pass of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.arrays import Array, strided
from eas_sdk.engine.epilogue import Epilogue
from eas_sdk.engine.expansion import Expansion
from eas_sdk.engine.kernels import blocks, length, positions
from eas_sdk.engine.plan import ONE, ZERO, Builder, copy
from eas_sdk.engine.window import Window

PIECE = 1400
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
        pixels = _piece(window.out, channels)
        taps = np.tile(weight, pixels if window.stride == 1 else 1)
        return cls(window, channels, taps, epilogue.interleaved(pixels), expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        window, batch, channels, kernel = self.window, plan.batch, self.channels, self.window.kernel
        side = window.stride * (window.out - 1) + kernel
        row, line = side * channels, window.out * channels
        piece = self.weight.shape[2]
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
        """The input into rows of `padded` [N, rows, columns x C], through the expansion if there is one."""
        size, channels, before = self.window.size, self.channels, self.window.padding
        # With a stride the window may end before the map does.
        met = min(size, padded.shape[1] - before)
        columns = slice(before * channels, (before + met) * channels)
        border = (
            padded[:, :before],
            padded[:, before + met :],
            padded[:, before : before + met, : columns.start],
            padded[:, before : before + met, columns.stop :],
        )
        for part in border:
            if part.size:
                plan.call(copy, ZERO, out=part)
        if self.expansion is None:
            maps = source.reshape(channels, plan.batch, size, size)[:, :, :met, :met]
            inside = padded[:, before : before + met, columns].reshape(plan.batch, met, met, channels)
            plan.call(copy, maps.transpose(1, 2, 3, 0), out=inside)
            return
        with plan.scratch((len(source) + 1) * source.shape[1]) as flat:
            with_ones = flat.reshape(len(source) + 1, -1)
            plan.call(copy, source, out=with_ones[:-1])
            plan.call(copy, ONE, out=with_ones[-1])
            for images, rows in blocks(plan.batch, size, 4 * size * channels):
                here = positions(images, rows, size)
                with plan.scratch(length(here) * channels) as expanded:
                    matrix = expanded.reshape(-1, channels).T
                    self.expansion.emit(plan, slice(0, channels), with_ones[:, here], matrix)
                    keep = max(0, min(rows.stop, met) - rows.start)
                    inside = padded[images, before + rows.start : before + rows.start + keep, columns]
                    lines = expanded.reshape(length(images), length(rows), size * channels)
                    plan.call(copy, lines[:, :keep, : met * channels], out=inside)


def _piece(pixels: int, channels: int) -> int:
    """The most pixels that divide a row evenly and make at most PIECE values."""
    return max(p for p in range(1, pixels + 1) if pixels % p == 0 and (p == 1 or p * channels <= PIECE))
