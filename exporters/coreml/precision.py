"""The precisions of a Core ML package, as a pass over its MIL program (coremltools.optimize).

=============  ==============================================  ==========  ====================
precision      large weights are stored as                     arithmetic  opset iOS16 operator
=============  ==============================================  ==========  ====================
float32        float32                                         float32     -
float16        float16                                         float16     -
int8           int8, a scale for each output channel           float16     constexpr_affine_dequantize
palettized     6-bit places in a table of 64 float16 values    float16     constexpr_lut_to_dense
=============  ==============================================  ==========  ====================

Weights of 2048 numbers or less stay float16: together they are a twentieth of a network. So do those of depthwise
convolutions in a palettized package: one table for the whole tensor, which is all that iOS16 has, does not fit
channels whose batch-norm scales differ.

Six bits because four are too few without training: on drawings, with networks of the emoji bundle, the greatest
difference of logits (as a part of the greatest logit) was 0.02 to 0.09 with 6-bit tables from k-means, 0.10 to 0.25
with 4-bit ones, and 0.03 to 0.15 with 6-bit tables of evenly spaced values; int8 gave 0.004 to 0.013.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.nodes import DepthwiseConv2d, Graph
from exporters.coreml.lowering import convolution_name

PRECISIONS = ("float32", "float16", "int8", "palettized")

BITS = 6
"""Of a place in a table; iOS16 also reads 1, 2, 4 and 8."""

THRESHOLD = 2048
"""Tensors with no more numbers than this are not compressed."""


def pipeline(ct: Any, precision: str, graph: Graph) -> Any:
    """coremltools' passes for a program of `graph`, and those that store its weights in fewer bits."""
    passes = ct.PassPipeline.DEFAULT
    # It makes a batch-norm of Normalize: float32 in a float16 program, and divided by the root of 1 + 1e-5.
    passes.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    optimize = ct.optimize.coreml
    integers = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=THRESHOLD)
    table = optimize.OpPalettizerConfig(mode="custom", lut_function=palette, weight_threshold=THRESHOLD)
    depthwise = [convolution_name(node) for node in graph.nodes if isinstance(node, DepthwiseConv2d)]
    match precision:
        case "int8":
            steps = {"linear_quantize_weights": optimize.OptimizationConfig(integers)}
        case "palettized":
            steps = {
                "linear_quantize_weights": optimize.OptimizationConfig(
                    op_name_configs=dict.fromkeys(depthwise, integers)
                ),
                "palettize_weights": optimize.OptimizationConfig(table, op_name_configs=dict.fromkeys(depthwise)),
            }
        case _:
            steps = {}
    for name, config in steps.items():
        passes.append_pass(f"compression::{name}")
        passes.set_options(f"compression::{name}", {"config": config})
    return passes


def palette(weight: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.uint8]]:
    """The 64 values that stand for a tensor with least squared error, and each number's place among them.

    k-means in one dimension (S. P. Lloyd, "Least squares quantization in PCM", 1982) over the distinct values, where
    a cluster is an interval and its mean a difference of cumulative sums: no sampling, so equal weights give equal
    tables.

    Returns:
        float16 [64] in ascending order; uint8 [weight.size].
    """
    values, places, counts = np.unique(weight.astype(np.float64), return_inverse=True, return_counts=True)
    size = 2**BITS
    cumulated = np.concatenate([[0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(counts * values)])
    # Starts between even spacing, which serves the tails, and equal shares, which serve the bulk.
    even = np.linspace(values[0], values[-1], size)
    shares = values[np.searchsorted(cumulated[1:], (np.arange(size) + 0.5) / size * cumulated[-1])]
    centres = (even + shares) / 2
    for _ in range(200):
        ends = np.concatenate([[0], np.searchsorted(values, (centres[1:] + centres[:-1]) / 2), [len(values)]])
        held = np.diff(cumulated[ends])
        means = np.where(held > 0, np.diff(sums[ends]) / np.maximum(held, 1), centres)
        if np.array_equal(means, centres):
            break
        centres = means
    table = centres.astype(np.float16)
    between = (table[1:].astype(np.float64) + table[:-1]) / 2
    nearest = np.searchsorted(between, values, side="right").astype(np.uint8)
    return table, nearest[places.reshape(-1)]
