"""1x1 convolution, pooling and element-wise nodes: one or two calls each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.numpy_kernels.epilogue import Epilogue
from eas_sdk.engine.numpy_kernels.plan import Builder
from eas_sdk.engine.protocol import Array


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
class GlobalMean:
    """Mean over rows and columns, as a product with a vector of 1 / (rows x columns)."""

    size: int

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        (source,) = inputs
        area = self.size**2
        by_image = source.reshape(len(source), plan.batch, area).transpose(1, 0, 2)
        out = plan.result(len(source), plan.batch, interleaved=True)
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
class Mean:
    """The mean of several maps."""

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        first, _, *others = inputs
        if any(other is first for other in others):  # read again when the sum would be in its place
            out = plan.result(*first.shape, interleaved=not first.flags.c_contiguous)
        else:
            out = plan.result_over_first_input()
        plan.call(np.add, inputs[0], inputs[1], out=out)
        for other in others:
            plan.call(np.add, out, other, out=out)
        plan.call(np.multiply, out, np.float32(1 / len(inputs)), out=out)
        return out


@dataclass(frozen=True)
class Add:
    """The sum of two maps."""

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        out = plan.result_over_first_input()
        plan.call(np.add, *inputs, out=out)
        return out
