"""Convolutions as XNNPACK computes them fast: their padding, and large depthwise kernels in parts.

TFLite's padding SAME is TensorFlow's. Where a convolution is padded otherwise, as torch pads maps of an even size under
a stride of two, it takes an explicit PAD (XNNPACK folds it into the convolution).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eas_exporters.tflite.program import Fused, Program
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Pads, same_padding

TAPS = 25
"""Most taps for which XNNPACK has a depthwise kernel; one more makes it ten times as slow."""

FloatArray = npt.NDArray[np.float32]


def convolve(
    program: Program,
    node: Conv2d | DepthwiseConv2d,
    source: int,
    weight: FloatArray,
    bias: FloatArray,
    out: int,
    fused: Fused,
) -> None:
    """Add what computes the tensor `out`: weight [O, kh, kw, I] or [k, k, C], bias [O] or [C]."""
    if isinstance(node, Conv2d):
        _dense(program, node, source, weight, bias, out, fused)
    elif _splits(node):
        _depthwise_in_parts(program, node, source, weight[np.newaxis], bias, out, fused)
    else:
        _depthwise(program, node, source, weight[np.newaxis], bias, out, fused, slice(None))


def _dense(
    program: Program, node: Conv2d, source: int, weight: FloatArray, bias: FloatArray, out: int, fused: Fused
) -> None:
    source, same = _padded(program, node, source, node.pads, node.window, whole=True)
    stored = program.constant(f"{node.name}.weight", weight)
    offset = program.constant(f"{node.name}.bias", bias)
    program.add("CONV_2D", [source, stored, offset], out, fused=fused, stride=node.stride, same=same)


def _splits(node: DepthwiseConv2d) -> bool:
    """Whether a kernel has too many taps, parts of two columns have few enough, and no part begins inside the map."""
    odd, large = node.kernel % 2 == 1, node.kernel**2 > TAPS >= 2 * node.kernel
    joined = 3 * node.kernel <= TAPS  # the middle column, which needs the whole padding when it is alone
    return odd and large and node.dilation == 1 and node.padding >= node.kernel // 2 - joined


def _depthwise_in_parts(
    program: Program,
    node: DepthwiseConv2d,
    source: int,
    weight: FloatArray,
    bias: FloatArray,
    out: int,
    fused: Fused,
) -> None:
    """A sum of convolutions, each over the columns at one distance from the middle one.

    The middle one joins the outermost where three columns have few enough taps. Such columns lie at equal distances, so
    that a part is a dilated convolution that the whole kernel exceeds by as much on both sides.
    """
    middle, shape = node.kernel // 2, program.tensors[out].shape
    total, joined = program.tensor("", shape), 3 * node.kernel <= TAPS
    first = slice(0, None, middle) if joined else slice(middle, middle + 1)
    _depthwise(program, node, source, weight, bias, total, "none", first)
    for distance in range(middle - joined, 0, -1):
        part = program.tensor("", shape)
        columns = slice(middle - distance, middle + distance + 1, 2 * distance)
        _depthwise(program, node, source, weight, np.zeros_like(bias), part, "none", columns)
        if distance > 1:
            total = program.add("ADD", [total, part], program.tensor("", shape))
        else:
            program.add("ADD", [total, part], out, fused=fused)


def _depthwise(
    program: Program,
    node: DepthwiseConv2d,
    source: int,
    weight: FloatArray,
    bias: FloatArray,
    out: int,
    fused: Fused,
    columns: slice,
) -> None:
    """One convolution over all columns of the kernel or over some, which lie around the middle at equal distances."""
    chosen = range(node.kernel)[columns]
    part = "" if len(chosen) == node.kernel else f".{chosen[0]}"
    rows, (left, right) = node.pads
    outer = node.dilation * chosen[0]  # pixels that the whole kernel reaches further to either side
    pads, reach = (rows, (left - outer, right - outer)), (node.reach, node.reach - 2 * outer)
    source, same = _padded(program, node, source, pads, reach, whole=not part)
    stored = program.constant(f"{node.name}{part}.weight", np.ascontiguousarray(weight[:, :, columns]))
    offset = program.constant(f"{node.name}{part}.bias", bias)
    dilation = (node.dilation, node.dilation if not part else columns.step or 1)
    operands = [source, stored, offset]
    program.add("DEPTHWISE_CONV_2D", operands, out, fused=fused, stride=node.stride, same=same, dilation=dilation)


def _padded(
    program: Program,
    node: Conv2d | DepthwiseConv2d,
    source: int,
    pads: Pads,
    reach: tuple[int, int],
    *,
    whole: bool,
) -> tuple[int, bool]:
    """What a window of `reach` pixels runs over, and whether it runs with padding SAME.

    Integer arithmetic pads integers for `whole` kernels; parts stay float.
    """
    same = [same_padding(node.size, side, node.stride) for side in reach]
    if list(pads) == [(padding, padding + trailing) for padding, trailing in same]:
        return source, True
    if not any(map(any, pads)):
        return source, False
    (above, below), (left, right) = pads
    before = program.tensors[source]
    amounts = program.constant("padding", np.array([[0, 0], pads[0], pads[1], [0, 0]], np.int32))
    shape = (1, node.size + above + below, node.size + left + right, before.shape[-1])
    made = program.tensor("", shape, held=before.held if whole else None)
    return program.add("PAD", [source, amounts], made), False
