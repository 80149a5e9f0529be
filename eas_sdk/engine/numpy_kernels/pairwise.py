"""Depthwise convolution of maps smaller than the kernel: every pixel of the input meets every pixel of the output.

There, most taps of most positions meet padding. With w' the kernel, padded with zeros until it covers every offset
between two pixels,

    out[h, w] = sum over (y, x) of in[y, x] * w'[y - stride * h, x - stride * w],

which is one einsum over pixels of input and output; the four-axis table of weights is a view of w'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from eas_sdk.engine.numpy_kernels.epilogue import Epilogue
from eas_sdk.engine.numpy_kernels.expansion import Expansion, with_ones
from eas_sdk.engine.numpy_kernels.plan import Builder, copy
from eas_sdk.engine.numpy_kernels.window import Window
from eas_sdk.engine.protocol import Array


@dataclass(frozen=True)
class PairwiseDepthwise:
    """Depthwise convolution by pairs of pixels, see above.

    Attributes:
        weight: [row, column, output row, output column, C], a view.
        expansion: the 1x1 convolution that makes the input, if it is to be computed here.
    """

    window: Window
    weight: Array
    epilogue: Epilogue
    expansion: Expansion | None

    @classmethod
    def make(cls, window: Window, weight: Array, epilogue: Epilogue, expansion: Expansion | None) -> PairwiseDepthwise:
        """Pack `weight` [k, k, C]."""
        size, out, stride, channels = window.size, window.out, window.stride, weight.shape[2]
        before = stride * (out - 1)  # offsets run from -before to size - 1, taps from -padding
        covering = np.zeros((before + size, before + size, channels), np.float32)
        taps = slice(before - window.padding, before - window.padding + window.kernel)
        covering[taps, taps] = weight
        row, column, channel = covering.strides
        shape = (size, size, out, out, channels)
        strides = (row, column, -stride * row, -stride * column, channel)
        table = as_strided(covering[before:, before:], shape, strides, writeable=False)
        return cls(window, table, epilogue.interleaved(out), expansion)

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        size, side, channels = self.window.size, self.window.out, self.weight.shape[-1]
        out = plan.result(channels, plan.batch * side**2, interleaved=True)
        with plan.scratch(channels * source.shape[1]) as flat:
            matrix = flat.reshape(-1, channels).T
            if self.expansion is None:
                plan.call(copy, source, out=matrix)
            else:
                with with_ones(plan, source) as extended:
                    self.expansion.emit(plan, slice(0, channels), extended, matrix)
            maps = flat.reshape(plan.batch, size, size, channels)
            sums = out.T.reshape(plan.batch, side, side, channels)
            plan.call(np.einsum, "nyxc,yxhwc->nhwc", maps, self.weight, out=sums)
        self.epilogue.emit(plan, out.T.reshape(-1, side * channels))
        return out
