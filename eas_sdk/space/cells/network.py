"""From a space of cells and an architecture to the nodes of the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, Mean, Node, Normalize
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.layers import head, inverted_residual
from eas_sdk.space.protocol import Part
from eas_sdk.space.widths import make_divisible

if TYPE_CHECKING:
    from eas_sdk.space.cells.space import CellSpace

SOURCE = "source"


def structure(space: CellSpace, architecture: Architecture, classes: int) -> tuple[Node, ...]:
    """The nodes of an architecture, which is a member."""
    nodes = list(before(space))
    source = nodes[-1].name
    for c, blocks in enumerate(architecture.units):
        ends = [source] if space.skips[c] and not space.single else []
        for block in blocks:
            nodes += block_nodes(space, c, block, source)
            ends.append(nodes[-1].name)
        if len(ends) > 1:
            nodes.append(mean_node(space, c, ends))
        if blocks:  # a cell without any hands on what it reads
            source = nodes[-1].name
    return (*nodes, *after(space, source, classes))


def before(space: CellSpace) -> Iterator[Node]:
    """The nodes in front of the cells."""
    width, size = space.width(space.stem_width), space.sizes[0]
    yield Normalize("normalize", (INPUT,), space.input_size, 3)
    yield Conv2d("stem", ("normalize",), space.input_size, 3, width, 3, space.stem_stride, 1, space.activation)
    if space.first_width is not None:
        outer = space.width(space.first_width)
        yield DepthwiseConv2d("first.depthwise", ("stem",), size, width, 3, 1, 1, space.activation)
        yield Conv2d("first.project", ("first.depthwise",), size, width, outer, 1, 1, 0, "none")
        if outer == width:
            yield Add("first.add", ("first.project", "stem"), size, width)


def after(space: CellSpace, source: str, classes: int) -> Iterator[Node]:
    """The nodes behind the cells."""
    feature = None if space.feature_width is None else space.width(space.feature_width)
    widths = space.widths(len(space.cells) - 1)[1], space.width(space.head_width)
    return head(source, space.sizes[-1], widths, feature, space.activation, classes)


def block_nodes(space: CellSpace, cell: int, block: Block, source: str) -> Iterator[Node]:
    """The nodes of one block of a cell that reads tensor `source`."""
    inner, outer = space.widths(cell)
    return inverted_residual(
        f"cell{cell}.{block}",
        source,
        space.sizes[cell],
        (inner, make_divisible(inner * block.expansion), outer),
        block,
        space.cells[cell].stride,
        space.activation,
        residual=space.single,
    )


def mean_node(space: CellSpace, cell: int, inputs: list[str]) -> Mean:
    """What joins the blocks of a cell (NSE, Eq. 1)."""
    return Mean(f"cell{cell}.mean", tuple(inputs), space.sizes[cell + 1], space.widths(cell)[1])


def every_part(space: CellSpace) -> Iterator[Part]:
    """Cell by cell its blocks, then the means; at the end what lies before and behind the cells. Of blocks side by
    side, how many are done before counts for memory: their results are kept. So does whether one is the last, where
    nothing else keeps the cell's input."""
    for c, cell in enumerate(space.cells):
        result_bytes = 4 * space.sizes[c + 1] ** 2 * space.widths(c)[1]
        for j, block in enumerate(cell.blocks):
            nodes = tuple(block_nodes(space, c, block, SOURCE))
            if space.single:
                yield Part(nodes)
                continue
            for done in range(j + 1):
                yield Part(nodes, (SOURCE,), done * result_bytes)
            if not space.skips[c]:
                for done in range(j + 1):
                    yield Part(nodes, (), done * result_bytes)
        if not space.single:
            for count in range(2, len(cell.blocks) + 1 + space.skips[c]):
                yield Part((mean_node(space, c, [f"{SOURCE}{i}" for i in range(count)]),))
    yield Part(tuple(before(space)))
    yield Part(tuple(after(space, SOURCE, 1))[:-1])
