"""From a space, an architecture and a number of classes to the nodes of the network: shapes only, no weights.

Every count (MAdds, parameters, memory), the slicing of the bank and the supernet's export follow this
description.
"""

from __future__ import annotations

from collections.abc import Iterator

from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Linear,
    Multiply,
    Node,
    Normalize,
)
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic import ElasticSpace, make_divisible


def structure(space: ElasticSpace, architecture: Architecture, classes: int) -> tuple[Node, ...]:
    """The nodes of one sub-network in execution order; the last is the classifier's Linear.

    Raises:
        ArchitectureError: `architecture` is not a member of `space`.
    """
    space.validate(architecture)
    return tuple(_nodes(space, architecture, classes))


def _nodes(space: ElasticSpace, architecture: Architecture, classes: int) -> Iterator[Node]:
    yield Normalize("normalize", (INPUT,), space.input_size, 3)
    width = space.width(space.stem_width)
    stem = Conv2d("stem", ("normalize",), space.input_size, 3, width, 3, space.stem_stride, 1, "hard_swish")
    yield stem
    size = stem.out_size
    yield DepthwiseConv2d("first.depthwise", ("stem",), size, width, 3, 1, 1, "relu")
    yield Conv2d("first.project", ("first.depthwise",), size, width, width, 1, 1, 0, "none")
    yield Add("first.add", ("first.project", "stem"), size, width)
    source = "first.add"
    for u, unit in enumerate(architecture.units):
        for b, block in enumerate(unit):
            stride = space.stages[u].stride if b == 0 else 1
            for node in block_nodes(space, u, b, block.kernel, block.expansion, size, stride, source):
                yield node
                source = node.name
            size = (size - 1) // stride + 1
    last, head, feature = (space.width(w) for w in (space.stages[-1].width, space.head_width, space.feature_width))
    yield Conv2d("head", (source,), size, last, head, 1, 1, 0, "hard_swish")
    yield GlobalMean("pool", ("head",), size, head)
    yield Conv2d("feature", ("pool",), 1, head, feature, 1, 1, 0, "hard_swish", has_bias=False)
    yield Linear("classifier", ("feature",), feature, classes)


def block_nodes(
    space: ElasticSpace,
    unit: int,
    block: int,
    kernel: int,
    expansion: int,
    size: int,
    stride: int,
    source: str,
) -> Iterator[Node]:
    """The nodes of one inverted residual block that reads tensor `source` of side `size`."""
    stage = space.stages[unit]
    activation: Activation = stage.activation
    inner, outer = space.widths(unit, block)
    hidden = space.hidden(unit, block, expansion)
    name = f"unit{unit}.block{block}"
    yield Conv2d(f"{name}.expand", (source,), size, inner, hidden, 1, 1, 0, activation)
    depthwise = DepthwiseConv2d(
        f"{name}.depthwise", (f"{name}.expand",), size, hidden, kernel, stride, kernel // 2, activation
    )
    yield depthwise
    size, before = depthwise.out_size, depthwise.name
    if stage.squeeze_excite:
        squeezed = squeeze_width(hidden)
        yield GlobalMean(f"{name}.mean", (before,), size, hidden)
        yield Conv2d(f"{name}.squeeze", (f"{name}.mean",), 1, hidden, squeezed, 1, 1, 0, "relu")
        yield Conv2d(f"{name}.excite", (f"{name}.squeeze",), 1, squeezed, hidden, 1, 1, 0, "hard_sigmoid")
        yield Multiply(f"{name}.scale", (before, f"{name}.excite"), size, hidden)
        before = f"{name}.scale"
    yield Conv2d(f"{name}.project", (before,), size, hidden, outer, 1, 1, 0, "none")
    if stride == 1 and inner == outer:
        yield Add(f"{name}.add", (f"{name}.project", source), size, outer)


def every_block(space: ElasticSpace) -> Iterator[tuple[int, int, int, tuple[Node, ...]]]:
    """Every block that a network of the space can have: slot, index of its kernel, of its expansion ratio, its nodes.

    The nodes read the tensor "source".
    """
    size = (space.input_size - 1) // space.stem_stride + 1
    for u, stage in enumerate(space.stages):
        for b in range(space.depths[-1]):
            stride = stage.stride if b == 0 else 1
            for k, kernel in enumerate(space.kernels):
                for e, expansion in enumerate(space.expansions):
                    nodes = block_nodes(space, u, b, kernel, expansion, size, stride, "source")
                    yield u * space.depths[-1] + b, k, e, tuple(nodes)
            size = (size - 1) // stride + 1


def squeeze_width(hidden: int) -> int:
    """Channels inside a squeeze-and-excitation layer over `hidden` channels."""
    return make_divisible(hidden // 4)
