"""The 1x1 convolution that widens the input of a depthwise convolution, computed for a part of it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from eas_sdk.engine.numpy_kernels.epilogue import activate, scaled
from eas_sdk.engine.numpy_kernels.plan import ONE, Builder, copy
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.nodes import Activation


@dataclass(frozen=True)
class Expansion:
    """A 1x1 convolution whose bias is one more column of its weight, for an input with a last channel of ones.

    So the bias costs nothing, where over the widest maps of the network it would be a pass of its own.

    Attributes:
        weight: [O, I + 1], `scaled`.
    """

    weight: Array
    activation: Activation

    @classmethod
    def make(cls, weight: Array, bias: Array, activation: Activation) -> Expansion:
        """Pack weight [O, I] and bias [O]."""
        packed = np.concatenate([weight, bias[:, np.newaxis]], axis=1)
        return cls(scaled(packed, activation), activation)

    def emit(self, plan: Builder, channels: slice, source: Array, out: Array) -> None:
        """Add the calls that compute some channels into `out`, at the positions of `source` [I + 1, positions]."""
        plan.call(np.matmul, self.weight[channels], source, out=out)
        activate(plan, out if out.flags.c_contiguous else out.T, self.activation)


@contextmanager
def with_ones(plan: Builder, source: Array) -> Iterator[Array]:
    """A copy of a matrix of channels x positions with one more channel, of ones."""
    with plan.scratch((len(source) + 1) * source.shape[1]) as flat:
        extended = flat.reshape(len(source) + 1, -1)
        plan.call(copy, source, out=extended[:-1])
        plan.call(copy, ONE, out=extended[-1])
        yield extended
