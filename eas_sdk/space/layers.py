"""The layers that networks of every space are made of: shapes only, no weights."""

from __future__ import annotations

from collections.abc import Iterator

from eas_sdk.graph.nodes import (
    Activation,
    Add,
    Bias,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Linear,
    Multiply,
    Node,
    same_padding,
)
from eas_sdk.space.architecture import Block
from eas_sdk.space.widths import squeeze_width


def inverted_residual(
    name: str,
    source: str,
    size: int,
    widths: tuple[int, int, int],
    block: Block,
    stride: int,
    activation: Activation,
    *,
    residual: bool,
    expands: bool = True,
    same: bool = False,
) -> Iterator[Node]:
    """Expansion, depthwise convolution, perhaps squeeze-and-excitation, projection (MobileNetV2 and V3).

    Args:
        source: the tensor that is read, a map of side `size`.
        widths: channels of the input, after the expansion, and of the output.
        block: its kernel, and whether it is factorised into two dense ones along one axis each.
        residual: whether the input is added, where stride and widths allow it.
        expands: whether there is an expansion; without one, the input has as many channels as it would make.
        same: whether the depthwise convolution pads as TensorFlow does (`same_padding`), or as torch.
    """
    inner, hidden, outer = widths
    before = source
    if expands:
        before = f"{name}.expand"
        yield Conv2d(before, (source,), size, inner, hidden, 1, 1, 0, activation)
    middle: Conv2d | DepthwiseConv2d
    if block.factorised:
        half = block.kernel // 2
        # The stride waits for the second layer: maps stay square, and what comes out is the same.
        yield Conv2d(
            f"{name}.across", (before,), size, hidden, hidden, block.kernel, 1, half, activation, along="width"
        )
        middle = Conv2d(
            f"{name}.down",
            (f"{name}.across",),
            size,
            hidden,
            hidden,
            block.kernel,
            stride,
            half,
            activation,
            along="height",
        )
    else:
        reach = block.dilation * (block.kernel - 1) + 1
        padding, trailing = same_padding(size, reach, stride) if same else (reach // 2, 0)
        middle = DepthwiseConv2d(
            f"{name}.depthwise",
            (before,),
            size,
            hidden,
            block.kernel,
            stride,
            padding,
            activation,
            block.dilation,
            trailing,
        )
    yield middle
    size, before = middle.out_size, middle.name
    if block.squeeze_excite:
        squeezed = squeeze_width(hidden)
        yield GlobalMean(f"{name}.mean", (before,), size, hidden)
        yield Conv2d(f"{name}.squeeze", (f"{name}.mean",), 1, hidden, squeezed, 1, 1, 0, "relu", bias="own")
        yield Conv2d(f"{name}.excite", (f"{name}.squeeze",), 1, squeezed, hidden, 1, 1, 0, "hard_sigmoid", bias="own")
        yield Multiply(f"{name}.scale", (before, f"{name}.excite"), size, hidden)
        before = f"{name}.scale"
    yield Conv2d(f"{name}.project", (before,), size, hidden, outer, 1, 1, 0, "none")
    if residual and stride == 1 and inner == outer:
        yield Add(f"{name}.add", (f"{name}.project", source), size, outer)


def head(
    source: str,
    size: int,
    widths: tuple[int, int],
    feature: int | None,
    activation: Activation,
    classes: int,
    *,
    feature_bias: Bias = "none",
) -> Iterator[Node]:
    """What follows the last block: a convolution to `widths[1]` channels, their means, perhaps one layer, classifier.

    Args:
        widths: channels of the input and after the convolution.
        feature: channels of the layer over the means (MobileNetV3); None: there is none.
        feature_bias: what bias that layer has.
    """
    last, wide = widths
    yield Conv2d("head", (source,), size, last, wide, 1, 1, 0, activation)
    yield GlobalMean("pool", ("head",), size, wide)
    if feature is None:
        yield Linear("classifier", ("pool",), wide, classes)
    else:
        yield Conv2d("feature", ("pool",), 1, wide, feature, 1, 1, 0, activation, bias=feature_bias)
        yield Linear("classifier", ("feature",), feature, classes)
