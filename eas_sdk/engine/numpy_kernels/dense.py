"""Dense convolution: the taps of a block of rows become a matrix (im2col), which the weights multiply."""

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
    """Weight [O, kh kw I] times the gathered taps.

    The padded map is kept by phases of the stride, so that whatever the stride a tap meets contiguous columns.
    """

    rows: Window
    columns: Window
    weight: Array
    epilogue: Epilogue

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        down, across, taps, side = self.rows, self.columns, self.weight.shape[1], self.rows.out
        out = plan.result(len(self.weight), plan.batch * side**2)
        shape = (len(source), down.stride, across.stride, plan.batch, down.side, across.side)
        with plan.scratch(math.prod(shape)) as flat:
            padded = flat.reshape(shape)
            plan.call(copy, ZERO, out=flat)
            for place in places(down, across, plan.batch):
                plan.call(copy, place.of_map(source), out=place.of_planes(padded))
            for images, rows in blocks(plan.batch, side, 4 * taps * side):
                part = out[:, positions(images, rows, side)]
                with plan.scratch(taps * part.shape[1]) as gathered:
                    self._gather(plan, padded[:, :, :, images], rows, gathered)
                    plan.call(np.matmul, self.weight, gathered.reshape(taps, -1), out=part)
                self.epilogue.emit(plan, part)
        return out

    def _gather(self, plan: Builder, padded: Array, rows: slice, flat: Array) -> None:
        """Copy what each tap meets into `flat`, as (row tap, column tap, channel) x positions."""
        down, across, stride = self.rows, self.columns, self.rows.stride
        channels, images = len(padded), padded.shape[3]
        gathered = flat.reshape(down.kernel, across.kernel, channels, images, length(rows), across.out)
        for y in range(down.kernel):
            for x in range(across.kernel):
                met_rows = slice(rows.start + y // stride, rows.stop + y // stride)
                met_columns = slice(x // stride, x // stride + across.out)
                met = padded[:, y % stride, x % stride, :, met_rows, met_columns]
                plan.call(copy, met, out=gathered[y, x])
