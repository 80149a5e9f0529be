"""Everything but the depthwise convolution: matrix products, dense convolution, pooling and element-wise nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.arrays import Array
from eas_sdk.engine.epilogue import Epilogue
from eas_sdk.engine.plan import ZERO, Builder, copy, fill
from eas_sdk.engine.window import Window

BLOCK_BYTES = 256 * 1024
"""Scratch of one block of work; with its source and destination it stays in a second-level cache of 1 MB."""


def blocks(batch: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Splits a batch of maps into blocks of whole images or, where one is too large, of rows of one image.

    Yields slices of images and rows; the positions of a block are contiguous.
    """
    images = BLOCK_BYTES // (rows * row_bytes)
    if images:
        for image in range(0, batch, images):
            yield slice(image, min(image + images, batch)), slice(0, rows)
        return
    step = max(1, BLOCK_BYTES // row_bytes)
    for image in range(batch):
        for row in range(0, rows, step):
            yield slice(image, image + 1), slice(row, min(row + step, rows))


def length(part: slice) -> int:
    """Number of indices in a slice without a step."""
    return int(part.stop - part.start)


def positions(images: slice, rows: slice, size: int) -> slice:
    """The columns of a channels x positions matrix that a block covers."""
    first = (images.start * size + rows.start) * size
    return slice(first, first + length(images) * length(rows) * size)


@dataclass(frozen=True)
class Normalize:
    """x * scale + offset for each channel."""

    scale: Array
    offset: Array

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        out = plan.result_over_first_input()
        plan.call(np.multiply, inputs[0], self.scale.reshape(-1, 1), out=out)
        plan.call(np.add, out, self.offset.reshape(-1, 1), out=out)
        return out


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution or a fully connected layer: weight [O, I] times a matrix of I x positions."""

    weight: Array
    epilogue: Epilogue
    interleaved: bool

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        out = plan.result(len(self.weight), source.shape[1], interleaved=self.interleaved)
        plan.call(np.matmul, self.weight, source, out=out)
        self.epilogue.emit(plan, out)
        return out


@dataclass(frozen=True)
class Dense:
    """A k x k convolution: the taps of a block of rows become a matrix (im2col), times weight [O, k k I]."""

    window: Window
    weight: Array
    epilogue: Epilogue

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        window, batch = self.window, plan.batch
        channels, taps = len(inputs[0]), self.weight.shape[1]
        source = inputs[0].reshape(channels, batch, window.size, window.size)
        shape = (channels, window.stride, window.stride, batch, window.side, window.side)
        out = plan.result(len(self.weight), batch * window.out**2)
        with plan.scratch(math.prod(shape)) as padding:
            plan.call(fill, ZERO, out=padding)
            padded = padding.reshape(shape)
            for rows in window.phases:
                for columns in window.phases:
                    inside = padded[:, rows.index, columns.index, :, rows.inside, columns.inside]
                    plan.call(copy, source[:, :, rows.source, columns.source], out=inside)
            for images, lines in blocks(batch, window.out, 4 * taps * window.out):
                part = out[:, positions(images, lines, window.out)]
                with plan.scratch(taps * part.shape[1]) as flat:
                    self._gather(plan, padded, images, lines, flat)
                    plan.call(np.matmul, self.weight, flat.reshape(taps, -1), out=part)
                    self.epilogue.emit(plan, part)
        return out

    def _gather(self, plan: Builder, padded: Array, images: slice, lines: slice, flat: Array) -> None:
        """Copy what each tap meets into `flat`, as (row tap, column tap, channel) x positions."""
        window, kernel = self.window, self.window.kernel
        gathered = flat.reshape(kernel, kernel, len(padded), length(images), length(lines), window.out)
        for y in range(kernel):
            for x in range(kernel):
                top, left = y // window.stride, x // window.stride
                rows, columns = slice(lines.start + top, lines.stop + top), slice(left, left + window.out)
                met = padded[:, y % window.stride, x % window.stride, images, rows, columns]
                plan.call(copy, met, out=gathered[y, x])


@dataclass(frozen=True)
class GlobalMean:
    """Mean over rows and columns, as a product with a vector of 1 / (rows x columns)."""

    size: int

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        area = self.size**2
        out = plan.result(len(source), plan.batch, interleaved=True)
        by_image = source.reshape(len(source), plan.batch, area).transpose(1, 0, 2)
        plan.call(np.matmul, by_image, np.full(area, 1 / area, np.float32), out=out.T)
        return out


@dataclass(frozen=True)
class Multiply:
    """A feature map times one gate for each channel and image."""

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        source, gate = inputs
        out = plan.result_over_first_input()
        shape = (len(source), plan.batch, -1)
        plan.call(np.multiply, source.reshape(shape), gate[:, :, np.newaxis], out=out.reshape(shape))
        return out


@dataclass(frozen=True)
class Add:
    """The sum of two maps."""

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        out = plan.result_over_first_input()
        plan.call(np.add, *inputs, out=out)
        return out
