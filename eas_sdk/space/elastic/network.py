"""From an elastic space and an architecture to the nodes of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, Node, Normalize
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.layers import head, inverted_residual
from eas_sdk.space.protocol import Part

if TYPE_CHECKING:
    from eas_sdk.space.elastic.space import ElasticSpace


def structure(space: ElasticSpace, architecture: Architecture, classes: int) -> tuple[Node, ...]:
    """The nodes of an architecture, which is a member."""
    nodes = list(before(space))
    source, size = nodes[-1].name, _first_size(space)
    for u, unit in enumerate(architecture.units):
        for b, block in enumerate(unit):
            stride = space.stages[u].stride if b == 0 else 1
            nodes += block_nodes(space, u, b, block, size, stride, source)
            source, size = nodes[-1].name, (size - 1) // stride + 1
    return (*nodes, *after(space, source, classes))


def before(space: ElasticSpace) -> Iterator[Node]:
    """The nodes in front of the units."""
    width, size = space.width(space.stem_width), _first_size(space)
    yield Normalize("normalize", (INPUT,), space.input_size, 3)
    yield Conv2d("stem", ("normalize",), space.input_size, 3, width, 3, space.stem_stride, 1, "hard_swish")
    yield DepthwiseConv2d("first.depthwise", ("stem",), size, width, 3, 1, 1, "relu")
    yield Conv2d("first.project", ("first.depthwise",), size, width, width, 1, 1, 0, "none")
    yield Add("first.add", ("first.project", "stem"), size, width)


def after(space: ElasticSpace, source: str, classes: int) -> Iterator[Node]:
    """The nodes behind the units."""
    last, wide, feature = (space.width(w) for w in (space.stages[-1].width, space.head_width, space.feature_width))
    size = _first_size(space)
    for stage in space.stages:
        size = (size - 1) // stage.stride + 1
    return head(source, size, (last, wide), feature, "hard_swish", classes)


def block_nodes(
    space: ElasticSpace, unit: int, index: int, block: Block, size: int, stride: int, source: str
) -> Iterator[Node]:
    """The nodes of one block that reads tensor `source` of side `size`."""
    stage = space.stages[unit]
    inner, outer = space.widths(unit, index)
    return inverted_residual(
        f"unit{unit}.block{index}",
        source,
        size,
        (inner, space.hidden(unit, index, block.expansion), outer),
        dataclasses.replace(block, squeeze_excite=stage.squeeze_excite),
        stride,
        stage.activation,
        residual=True,
    )


def every_block(space: ElasticSpace) -> Iterator[Part]:
    """Every block that a network of the space can have: slot by slot, by kernel, by expansion ratio."""
    size = _first_size(space)
    for u, stage in enumerate(space.stages):
        for b in range(space.depths[-1]):
            stride = stage.stride if b == 0 else 1
            for kernel in space.kernels:
                for expansion in space.expansions:
                    block = Block(kernel, expansion)
                    yield Part(tuple(block_nodes(space, u, b, block, size, stride, "source")))
            size = (size - 1) // stride + 1


def _first_size(space: ElasticSpace) -> int:
    """Side of the maps behind the stem."""
    return (space.input_size - 1) // space.stem_stride + 1
