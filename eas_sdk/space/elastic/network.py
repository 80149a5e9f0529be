"""From an elastic space and an architecture to the nodes of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eas_sdk.graph.nodes import INPUT, Bias, Conv2d, Node, Normalize, same_padding
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.layers import head, inverted_residual
from eas_sdk.space.protocol import Part

if TYPE_CHECKING:
    from eas_sdk.space.elastic.space import ElasticSpace

SOURCE = "source"
STEM_KERNEL = 3


def structure(space: ElasticSpace, architecture: Architecture, classes: int, input_size: int) -> tuple[Node, ...]:
    """The nodes of an architecture, which is a member, for images of a given size."""
    nodes = list(before(space, input_size))
    source, size = nodes[-1].name, _reduced(input_size, space.stem.stride)
    for u, unit in enumerate(architecture.units):
        for b, block in enumerate(unit):
            nodes += block_nodes(space, u, b, block, size, source)
            source, size = nodes[-1].name, _reduced(size, space.stride(u, b))
    return (*nodes, *after(space, source, size, classes))


def before(space: ElasticSpace, input_size: int) -> Iterator[Node]:
    """The nodes in front of the units."""
    stem, half = space.stem, STEM_KERNEL // 2
    padding, trailing = (half, 0)
    if space.padding == "same":
        padding, trailing = same_padding(input_size, STEM_KERNEL, stem.stride)
    yield Normalize("normalize", (INPUT,), input_size, 3)
    yield Conv2d(
        "stem",
        ("normalize",),
        input_size,
        3,
        space.width(stem.width),
        STEM_KERNEL,
        stem.stride,
        padding,
        stem.activation,
        trailing=trailing,
    )


def after(space: ElasticSpace, source: str, size: int, classes: int) -> Iterator[Node]:
    """The nodes behind the units, which read tensor `source` of side `size`."""
    last, made = space.units[-1], space.head
    feature = None if made.feature is None else space.width(made.feature)
    widths = space.width(last.width), space.width(made.width)
    bias: Bias = "own" if made.feature_bias else "none"
    return head(source, size, widths, feature, made.activation, classes, feature_bias=bias)


def block_nodes(space: ElasticSpace, unit: int, index: int, block: Block, size: int, source: str) -> Iterator[Node]:
    """The nodes of one block that reads tensor `source` of side `size`."""
    kind = space.units[unit]
    inner, outer = space.widths(unit, index)
    return inverted_residual(
        f"unit{unit}.block{index}",
        source,
        size,
        (inner, space.hidden(unit, index, block.expansion), outer),
        dataclasses.replace(block, squeeze_excite=kind.squeeze_excite),
        space.stride(unit, index),
        kind.activation,
        residual=True,
        expands=block.expansion != 1,
        same=space.padding == "same",
    )


def every_part(space: ElasticSpace) -> Iterator[Part]:
    """Everything that a network of the space can have, input size by input size: what lies before the units, every
    block (slot by slot, by kernel, by expansion ratio), what lies behind the units but the classifier."""
    for input_size in space.input_sizes:
        yield Part(tuple(before(space, input_size)))
        size = _reduced(input_size, space.stem.stride)
        for u, unit in enumerate(space.units):
            for b in range(unit.depths[-1]):
                for kernel in unit.kernels:
                    for expansion in unit.expansions:
                        block = Block(kernel, expansion)
                        yield Part(tuple(block_nodes(space, u, b, block, size, SOURCE)))
                size = _reduced(size, space.stride(u, b))
        yield Part(tuple(after(space, SOURCE, size, 1))[:-1])


def _reduced(size: int, stride: int) -> int:
    """Side of what a padded convolution makes of a map, whichever way it is padded."""
    return (size - 1) // stride + 1
