"""Ranges of activations, as the numpy engine sees them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from engine.graphs import efficientnet_lite, make_graph, mobilenet, reference

from eas_exporters.calibration import SATURATES, calibrate
from eas_sdk.engine.trace import activate, trace
from eas_sdk.errors import ImageError
from eas_sdk.graph.nodes import Activation, Conv2d, DepthwiseConv2d, Graph

GRAPH = make_graph(mobilenet(32))
LITE = make_graph(efficientnet_lite(32))
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 32, 32, 3), np.uint8)


each_graph = pytest.mark.parametrize("graph", [GRAPH, LITE], ids=["hard_swish", "relu6"])


@each_graph
def test_a_trace_computes_what_the_graph_says(graph: Graph) -> None:
    batch = PIXELS[:2].astype(np.float32) / 255
    for i, traced in enumerate(trace(graph, batch)):
        expected = reference(Graph(graph.nodes[: i + 1], graph.weights, ()), batch)
        np.testing.assert_allclose(traced.output, expected, atol=1e-4 * np.abs(expected).max())


@each_graph
def test_ranges_hold_all_values_over_all_images_that_make_a_difference(graph: Graph) -> None:
    ranges = calibrate(graph, PIXELS)
    extremes: dict[tuple[str, bool], tuple[float, float]] = {}
    for image in PIXELS:
        for traced in trace(graph, image[np.newaxis].astype(np.float32) / 255):
            for linear, values in ((True, traced.linear), (False, traced.output)):
                low, high = extremes.get((traced.node.name, linear), (np.inf, -np.inf))
                extremes[traced.node.name, linear] = min(low, values.min()), max(high, values.max())
    clipped = 0
    for node in graph.nodes:
        activation = node.activation if isinstance(node, Conv2d | DepthwiseConv2d) else "none"
        least, most = SATURATES.get(activation, (-np.inf, np.inf))
        low, high = extremes[node.name, True]
        assert ranges[node.name, True] == pytest.approx((np.clip(low, least, most), np.clip(high, least, most)), 1e-4)
        assert ranges[node.name, False] == pytest.approx(extremes[node.name, False], rel=1e-4, abs=1e-6)
        clipped += low < least
    assert clipped > 3


@pytest.mark.parametrize("activation", get_args(Activation))
def test_an_activation_is_constant_beyond_its_bounds_and_nowhere_else(activation: Activation) -> None:
    least, most = SATURATES.get(activation, (-np.inf, np.inf))
    for bound, step in ((least, -0.5), (most, 0.5)):
        edge = bound if np.isfinite(bound) else 20 * step
        inside, at, beyond = activate(np.array([edge - step, edge, edge + 10 * step], np.float32), activation)
        assert inside != at
        assert (at == beyond) == np.isfinite(bound)


def test_images_are_needed() -> None:
    with pytest.raises(ImageError):
        calibrate(GRAPH, PIXELS[:0])
