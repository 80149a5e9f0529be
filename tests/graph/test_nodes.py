"""Geometry of windows: what pads a map, and how many positions come of it."""

from __future__ import annotations

import pytest
from engine.graphs import efficientnet_lite
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, same_padding

LITE0 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
"""Kernel, expansion, width, blocks and stride of each unit of EfficientNet-Lite0."""


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
def test_same_padding_is_the_fewest_zeros_for_a_position_per_stride(
    size: int, kernel: int, dilation: int, stride: int
) -> None:
    reach = dilation * (kernel - 1) + 1
    padding, trailing = same_padding(size, reach, stride)
    node = DepthwiseConv2d("d", ("x",), size, 1, kernel, stride, padding, "none", dilation, trailing)
    assert node.out_size == -(-size // stride)
    assert trailing in (0, 1)
    (above, below), columns = node.pads
    assert (above, below) == columns == (padding, padding + trailing)
    fewer = above + below - 1
    assert fewer < 0 or (size + fewer - reach) // stride + 1 < node.out_size


@pytest.mark.parametrize(
    ("size", "reach", "stride", "expected"),
    [(224, 3, 2, (0, 1)), (112, 5, 2, (1, 1)), (7, 5, 1, (2, 0)), (33, 3, 2, (1, 0)), (9, 1, 2, (0, 0))],
)
def test_same_padding_by_hand(size: int, reach: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, reach, stride) == expected


def test_a_kernel_along_one_axis_pads_that_axis() -> None:
    conv = Conv2d("c", ("x",), 9, 2, 2, 5, 1, 2, "relu", along="height")
    assert (conv.window, conv.pads, conv.out_size) == ((5, 1), ((2, 2), (0, 0)), 9)


def test_costs_of_efficientnet_lite0() -> None:
    """The published network has 4.65 million parameters."""
    counted = cost(efficientnet_lite(224, stem=32, units=LITE0, head=1280, classes=1000))
    assert round(counted.parameters / 1e6, 2) == 4.65
    assert round(counted.madds / 1e6) == 385
