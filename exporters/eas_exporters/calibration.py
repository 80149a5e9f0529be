"""Ranges of activations, recorded by the numpy engine on real images: what integer arithmetic is scaled to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from eas_sdk.engine.trace import trace
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import Images, as_float_batch

Ranges: TypeAlias = Mapping[tuple[str, bool], tuple[float, float]]
"""(node name, whether before its activation) -> least and greatest value."""

SATURATES = {
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "hard_swish": (-3.0, math.inf),
    "hard_sigmoid": (-3.0, 3.0),
}
"""Beyond these bounds an activation is constant."""

BATCH = 8


def calibrate(graph: Graph, images: Images) -> Ranges:
    """The ranges of all activations over `images`, which are brought to the graph's size.

    Raises:
        ImageError: the images have other channels or values, or there are none.
    """
    batch = as_float_batch(images, graph.input_size, graph.input_shape[2])
    ranges: dict[tuple[str, bool], tuple[float, float]] = {}
    for start in range(0, len(batch), BATCH):
        for traced in trace(graph, batch[start : start + BATCH]):
            least, most = SATURATES.get(getattr(traced.node, "activation", "none"), (-math.inf, math.inf))
            for linear, values in ((True, traced.linear), (False, traced.output)):
                low, high = float(values.min()), float(values.max())
                if linear:  # what lies beyond makes no difference, and would cost resolution
                    low, high = min(max(low, least), most), max(min(high, most), least)
                before = ranges.get((traced.node.name, linear), (low, high))
                ranges[traced.node.name, linear] = min(low, before[0]), max(high, before[1])
    return ranges
