"""The precisions of a Core ML package, as passes over its MIL program (coremltools.optimize).

==========  ====================================================================  ==========
precision   weights                                                               arithmetic
==========  ====================================================================  ==========
float32     float32                                                               float32
float16     float16                                                               float16
int8        above 2048 numbers: int8, a scale for each output channel             float16
palettized  the same, and above 10,000: 6-bit places in a table of 64 values;     float16
            but depthwise weights have no tables
==========  ====================================================================  ==========

The rest stays float16: small tensors are a twentieth of a network. One table for a whole tensor, which is all that
iOS 16 has, does not fit depthwise channels, whose batch-norm differs.
"""

from __future__ import annotations

from typing import Any

from eas_exporters.coreml.lowering import convolution_name
from eas_sdk.graph.nodes import DepthwiseConv2d, Graph

PRECISIONS = ("float32", "float16", "int8", "palettized")

THRESHOLD = 2048
"""Tensors with no more numbers than this are float16."""

TABLE_BITS = 6
"""Of a place in a table."""

TABLE_THRESHOLD = 10_000
"""Tensors with no more numbers than this have no table: coremltools would ask for scikit-learn to find one. For larger
ones it finds the best there is (k-means in one dimension, exact)."""


def pipeline(ct: Any, precision: str, graph: Graph) -> Any:
    """coremltools' passes for a program of `graph`, and those that store its weights in fewer bits."""
    passes = ct.PassPipeline.DEFAULT
    optimize = ct.optimize.coreml
    integers = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=THRESHOLD)
    tables = optimize.OpPalettizerConfig(mode="kmeans", nbits=TABLE_BITS, weight_threshold=TABLE_THRESHOLD)
    depthwise = [convolution_name(node) for node in graph.nodes if isinstance(node, DepthwiseConv2d)]
    steps = []
    if precision == "palettized":
        config = optimize.OptimizationConfig(tables, op_name_configs=dict.fromkeys(depthwise))
        steps.append(("compression::palettize_weights", config))
    if precision in ("int8", "palettized"):
        steps.append(("compression::linear_quantize_weights", optimize.OptimizationConfig(integers)))
    for name, config in steps:
        passes.append_pass(name)
        passes.set_options(name, {"config": config})
    return passes
