"""Bias and activation, applied in place to a block of results while the block is in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eas_sdk.engine.arrays import Array
from eas_sdk.engine.plan import Builder, copy
from eas_sdk.graph.nodes import Activation

HARD_SWISH_SCALE = np.float32(6**-0.5)
"""y * clip(y + 3, 0, 6) / 6 = (s y) * clip(s y + 3 s, 0, 6 s) with s = 1 / sqrt(6), so a convolution whose weights and
bias are scaled by s needs no division."""

Store = tuple[Callable[[Array], Array], Array]
"""Which part of a block goes where: a view of any array shaped like the block, and the destination."""

_ZERO = np.zeros((), np.float32)
_SIX = np.full((), 6, np.float32)
_SIXTH = np.full((), 1 / 6, np.float32)
_SCALE = np.full((), HARD_SWISH_SCALE, np.float32)
_SCALED_SIX = np.full((), 6 * HARD_SWISH_SCALE, np.float32)


@dataclass(frozen=True)
class Epilogue:
    """Bias and activation behind a convolution.

    Attributes:
        bias: shaped to broadcast over the blocks; for hard_swish it is scaled by HARD_SWISH_SCALE.
        shifted: bias + 3, in the same scale; empty where the activation does not need it.
        scale_first: hard_swish behind weights that are not scaled: the block is scaled before the bias.
    """

    activation: Activation
    bias: Array
    shifted: Array
    scale_first: bool = False

    @classmethod
    def make(cls, activation: Activation, bias: Array, *, scale_first: bool = False) -> Epilogue:
        """An epilogue for blocks of channels x positions; `bias` is the bias [C] as the graph gives it."""
        column = bias.reshape(-1, 1)
        match activation:
            case "hard_swish":
                column = column * HARD_SWISH_SCALE
                return cls(activation, column, column + 3 * HARD_SWISH_SCALE, scale_first)
            case "hard_sigmoid":
                return cls(activation, column, column + np.float32(3))
            case _:
                return cls(activation, column, column[:, :0])

    def channels(self, block: slice) -> Epilogue:
        """The epilogue of some of the channels."""
        return replace(self, bias=self.bias[block], shifted=self.shifted[block])

    def interleaved(self, pixels: int) -> Epilogue:
        """The epilogue for blocks whose last axis holds `pixels` interleaved pixels."""
        return replace(self, bias=_repeat(self.bias, pixels), shifted=_repeat(self.shifted, pixels))

    def emit(self, plan: Builder, block: Array, stores: Sequence[Store] = ()) -> None:
        """Add the calls that turn `block` into its activations, in place or, with `stores`, there.

        With stores the block itself holds nothing of use afterwards.
        """
        places = stores or [(_whole, block)]
        match self.activation:
            case "none":
                plan.call(np.add, block, self.bias, out=block)
                for part, out in stores:
                    plan.call(copy, part(block), out=out)
            case "relu":
                plan.call(np.add, block, self.bias, out=block)
                for part, out in places:
                    plan.call(np.maximum, part(block), _ZERO, out=out)
            case "hard_sigmoid":
                plan.call(np.add, block, self.shifted, out=block)
                plan.call(np.maximum, block, _ZERO, out=block)
                plan.call(np.minimum, block, _SIX, out=block)
                for part, out in places:
                    plan.call(np.multiply, part(block), _SIXTH, out=out)
            case "hard_swish":
                with plan.scratch(block.size) as (flat,):
                    gate = flat.reshape(block.shape)
                    if self.scale_first:
                        plan.call(np.multiply, block, _SCALE, out=block)
                    plan.call(np.add, block, self.shifted, out=gate)
                    plan.call(np.maximum, gate, _ZERO, out=gate)
                    plan.call(np.minimum, gate, _SCALED_SIX, out=gate)
                    plan.call(np.add, block, self.bias, out=block)
                    for part, out in places:
                        plan.call(np.multiply, part(block), part(gate), out=out)


def scaled_weight(weight: Array, activation: Activation) -> Array:
    """`weight` as the epilogue of `activation` expects it."""
    return weight * HARD_SWISH_SCALE if activation == "hard_swish" else weight


def _whole(block: Array) -> Array:
    return block


def _repeat(column: Array, times: int) -> Array:
    return np.tile(column.ravel(), times) if column.size else column
