"""Dense k x k convolution: the taps of a block of rows become a matrix (im2col), which the weights multiply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.numpy_kernels.blocks import blocks, length, positions
from eas_sdk.engine.numpy_kernels.epilogue import Epilogue
from eas_sdk.engine.numpy_kernels.plan import ZERO, Builder, copy
from eas_sdk.engine.numpy_kernels.window import Window, places
from eas_sdk.engine.protocol import Array


@dataclass(frozen=True)
class Dense:
    """Weight [O, k k I] times the gathered taps.

    The padded map is kept by phases of the stride, so that whatever the stride a tap meets contiguous columns.
    """

    window: Window
    weight: Array
    epilogue: Epilogue

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        window, taps = self.window, self.weight.shape[1]
        out = plan.result(len(self.weight), plan.batch * window.out**2)
        shape = (len(source), window.stride, window.stride, plan.batch, window.side, window.side)
        with plan.scratch(math.prod(shape)) as flat:
            padded = flat.reshape(shape)
            plan.call(copy, ZERO, out=flat)
            for place in places(window, plan.batch):
                plan.call(copy, place.of_map(source), out=place.of_planes(padded))
            for images, rows in blocks(plan.batch, window.out, 4 * taps * window.out):
                part = out[:, positions(images, rows, window.out)]
                with plan.scratch(taps * part.shape[1]) as gathered:
                    self._gather(plan, padded[:, :, :, images], rows, gathered)
                    plan.call(np.matmul, self.weight, gathered.reshape(taps, -1), out=part)
                self.epilogue.emit(plan, part)
        return out

    def _gather(self, plan: Builder, padded: Array, rows: slice, flat: Array) -> None:
        """Copy what each tap meets into `flat`, as (row tap, column tap, channel) x positions."""
        window, kernel, stride = self.window, self.window.kernel, self.window.stride
        channels, images = len(padded), padded.shape[3]
        gathered = flat.reshape(kernel, kernel, channels, images, length(rows), window.out)
        for y in range(kernel):
            for x in range(kernel):
                met_rows = slice(rows.start + y // stride, rows.stop + y // stride)
                met_columns = slice(x // stride, x // stride + window.out)
                met = padded[:, y % stride, x % stride, :, met_rows, met_columns]
                plan.call(copy, met, out=gathered[y, x])
