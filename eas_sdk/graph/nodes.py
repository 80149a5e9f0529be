"""The network description between slicing and everything after it: nodes without weights, and a Graph with them.

Tensors are NHWC. A node names the tensor it makes; `inputs` name the tensors it reads. Weights live beside the
nodes, in `Graph.weights`, under "<node name>.weight" and "<node name>.bias", so that a structure is plain hashable
data: two networks of equal structure compare equal whatever their weights.

=================  ==========================  =========================================
node               weight shape (float32)      output
=================  ==========================  =========================================
Normalize          weight [C], bias [C]        x * weight + bias
Conv2d             [O, kh, kw, I], bias [O]    N x H' x W' x O, H' = (H + 2p + t - k) // s + 1
DepthwiseConv2d    [k, k, C], bias [C]         N x H' x W' x C, the same with d (k - 1) + 1 for k
GlobalMean         -                           N x 1 x 1 x C
Multiply           -                           broadcast of the second input over H and W
Add                -                           element-wise
Mean               -                           element-wise mean of two maps or more
Linear             [O, I], bias [O]            N x O; the input is N x 1 x 1 x I
=================  ==========================  =========================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Activation: TypeAlias = Literal["none", "relu", "relu6", "hard_swish", "hard_sigmoid"]
"""relu = max(x, 0); relu6 = clip(x, 0, 6); hard_sigmoid = clip(x + 3, 0, 6) / 6; hard_swish = x * hard_sigmoid(x)."""

Bias: TypeAlias = Literal["norm", "own", "none"]
"""Where a convolution's bias comes from: a batch-norm that is folded into it, a trained bias, or nowhere."""

Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and below, left and right of a map."""

Axes: TypeAlias = Literal["both", "height", "width"]
"""What a kernel extends along: k x k, k x 1 or 1 x k."""

INPUT = "image"
"""Name of the graph's input tensor: N x size x size x 3, float32 in [0, 1], RGB."""


def same_padding(size: int, reach: int, stride: int) -> tuple[int, int]:
    """`padding` and `trailing` of a window whose output has ceil(size / stride) positions: TensorFlow's "SAME".

    Where the zeros are odd in number, one more lies behind the map than in front of it.

    Args:
        reach: how many pixels the window spans.
    """
    zeros = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return zeros // 2, zeros % 2


@dataclass(frozen=True)
class Normalize:
    """Per-channel scale and offset of the input image."""

    name: str
    inputs: tuple[str]
    size: int
    channels: int


@dataclass(frozen=True)
class Conv2d:
    """Dense convolution with zero padding, bias and fused activation.

    `size` is the side of the square input map. `padding` zeros lie in front of it, and `trailing` more than that behind
    it: 0 is torch's convention, `same_padding` TensorFlow's. A kernel along one axis alone pads that axis alone, by
    half of what it reaches, so that maps stay square.
    """

    name: str
    inputs: tuple[str]
    size: int
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    padding: int
    activation: Activation
    bias: Bias = "norm"
    along: Axes = "both"
    trailing: int = 0

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self._extended(self.kernel, 1)

    @property
    def pads(self) -> Pads:
        """Zeros around the map."""
        rows, columns = self._extended(self.padding, 0)
        return (rows, rows + self.trailing), (columns, columns + self.trailing)

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding + self.trailing - self.kernel) // self.stride + 1

    def _extended(self, value: int, otherwise: int) -> tuple[int, int]:
        return (
            value if self.along != "width" else otherwise,
            value if self.along != "height" else otherwise,
        )


@dataclass(frozen=True)
class DepthwiseConv2d:
    """Depthwise convolution (multiplier 1), zero padding as of `Conv2d`, bias and fused activation.

    Taps lie `dilation` pixels apart.
    """

    name: str
    inputs: tuple[str]
    size: int
    channels: int
    kernel: int
    stride: int
    padding: int
    activation: Activation
    dilation: int = 1
    trailing: int = 0

    @property
    def pads(self) -> Pads:
        """Zeros around the map."""
        return ((self.padding, self.padding + self.trailing),) * 2

    @property
    def reach(self) -> int:
        """Side of the square that the taps span."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding + self.trailing - self.reach) // self.stride + 1


@dataclass(frozen=True)
class GlobalMean:
    """Mean over height and width; keeps both as 1."""

    name: str
    inputs: tuple[str]
    size: int
    channels: int


@dataclass(frozen=True)
class Multiply:
    """Feature map (first input, size x size) times per-channel gate (second input, 1 x 1)."""

    name: str
    inputs: tuple[str, str]
    size: int
    channels: int


@dataclass(frozen=True)
class Add:
    """Residual sum of two maps of equal shape."""

    name: str
    inputs: tuple[str, str]
    size: int
    channels: int


@dataclass(frozen=True)
class Mean:
    """Element-wise mean of two or more maps of equal shape (NSE, Eq. 1)."""

    name: str
    inputs: tuple[str, ...]
    size: int
    channels: int


@dataclass(frozen=True)
class Linear:
    """Fully connected layer over an N x 1 x 1 x I input; makes N x O."""

    name: str
    inputs: tuple[str]
    in_features: int
    out_features: int


Node: TypeAlias = Normalize | Conv2d | DepthwiseConv2d | GlobalMean | Multiply | Add | Mean | Linear


@dataclass(frozen=True, eq=False)
class Graph:
    """A network ready for an engine or an exporter: nodes in execution order, their weights, and its labels.

    Attributes:
        nodes: topologically ordered; the last node's output is the network's output (logits, N x len(labels)).
        weights: float32 C-contiguous arrays by "<node>.weight" / "<node>.bias".
        labels: one name per logit.
    """

    nodes: tuple[Node, ...]
    weights: Mapping[str, np.ndarray]
    labels: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Graph: {len(self.nodes)} nodes, {self.input_size} px, {len(self.labels)} labels>"

    @property
    def input_size(self) -> int:
        """Side of the square input image, in pixels."""
        return self.input_shape[0]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        first = self.nodes[0]
        assert isinstance(first, Normalize)
        return first.size, first.size, first.channels
