"""Bias and activation, applied in place to a block of results while the block is in the cache."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from eas_sdk.engine.numpy_kernels.plan import Builder
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.nodes import Activation

HARD_SWISH_SCALE = np.float32(6**-0.5)
"""x * clip(x + 3, 0, 6) / 6 = (s x) * clip(s x + 3 s, 0, 6 s) with s = 1 / sqrt(6): a convolution whose weights and
bias are scaled by s needs no division."""

CLIP_CALL_VALUES = 16 * 1024
"""Above this size one np.clip is faster than np.maximum and np.minimum, which do not vectorise against a scalar."""


def scaled(weight: Array, activation: Activation) -> Array:
    """Weights or bias as `activate` expects them in front of it."""
    return weight * HARD_SWISH_SCALE if activation == "hard_swish" else weight


def activate(plan: Builder, block: Array, activation: Activation) -> None:
    """Add the calls that turn `block` into its activations in place; for hard_swish it holds `scaled` values."""
    match activation:
        case "relu":
            _clip(plan, block, None)
        case "relu6":
            _clip(plan, block, 6)
        case "hard_sigmoid":
            plan.call(np.add, block, _scalar(3), out=block)
            _clip(plan, block, 6)
            plan.call(np.multiply, block, _scalar(1 / 6), out=block)
        case "hard_swish":
            with plan.scratch(block.size) as flat:
                gate = flat.reshape(block.shape)
                plan.call(np.add, block, _scalar(3 * HARD_SWISH_SCALE), out=gate)
                _clip(plan, gate, 6 * HARD_SWISH_SCALE)
                plan.call(np.multiply, block, gate, out=block)
        case "none":
            pass


@dataclass(frozen=True)
class Epilogue:
    """Bias and activation behind a convolution.

    Attributes:
        bias: `scaled`, and shaped to broadcast over the blocks.
        scale_first: the convolution's weights are not `scaled`, so its results have to be.
    """

    activation: Activation
    bias: Array
    scale_first: bool = False

    @classmethod
    def make(cls, activation: Activation, bias: Array, *, scale_first: bool = False) -> Epilogue:
        """An epilogue for blocks of channels x positions; `bias` is the bias [C] as the graph gives it."""
        return cls(activation, scaled(bias, activation).reshape(-1, 1), scale_first)

    def channels(self, block: slice) -> Epilogue:
        """The epilogue of some of the channels."""
        return replace(self, bias=self.bias[block])

    def interleaved(self, pixels: int) -> Epilogue:
        """The epilogue for blocks whose last axis holds `pixels` interleaved pixels."""
        return replace(self, bias=np.tile(self.bias.ravel(), pixels))

    def emit(self, plan: Builder, block: Array) -> None:
        """Add the calls that apply bias and activation to `block`."""
        if self.scale_first:
            plan.call(np.multiply, block, _scalar(HARD_SWISH_SCALE), out=block)
        plan.call(np.add, block, self.bias, out=block)
        activate(plan, block, self.activation)


def _clip(plan: Builder, block: Array, high: float | None) -> None:
    """min(max(block, 0), high)."""
    if block.size >= CLIP_CALL_VALUES:
        plan.call(np.clip, block, _scalar(0), _scalar(np.inf if high is None else high), out=block)
        return
    plan.call(np.maximum, block, _scalar(0), out=block)
    if high is not None:
        plan.call(np.minimum, block, _scalar(high), out=block)


def _scalar(value: float) -> Array:
    """A float32 array without axes: numpy takes it without conversion, and never widens the result."""
    return np.full((), value, np.float32)
