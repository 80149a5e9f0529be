"""Hypothesis strategies for search spaces and their members."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.cells.space import Cell, CellSpace
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import ACTIVATIONS, Head, Stem, Unit

T = TypeVar("T", int, float)


def _choices(options: tuple[T, ...], most: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    """Some of `options`, ascending."""
    some = st.lists(st.sampled_from(options), min_size=1, max_size=most, unique=True)
    return some.map(lambda values: tuple(sorted(values)))


UNITS = st.builds(
    Unit,
    width=st.integers(1, 40),
    stride=st.sampled_from((1, 2)),
    depths=_choices((1, 2, 3, 4)),
    kernels=_choices((1, 3, 5, 7)),
    expansions=st.one_of(st.just((1,)), _choices((1.5, 2, 2.25, 3, 4, 6))),
    activation=st.sampled_from(ACTIVATIONS),
    squeeze_excite=st.booleans(),
)


@st.composite
def architectures(draw: st.DrawFn, space: ElasticSpace) -> Architecture:
    """Members of a space, within its `largest`."""
    units = []
    for unit, bound in zip(space.units, space.largest.units, strict=True):
        depth = draw(st.sampled_from([d for d in unit.depths if d <= len(bound)]))
        units.append(
            tuple(
                Block(
                    draw(st.sampled_from([k for k in unit.kernels if k <= limit.kernel])),
                    draw(st.sampled_from([e for e in unit.expansions if e <= limit.expansion])),
                )
                for limit in bound[:depth]
            )
        )
    most = space.largest.input_size
    size = None if most is None else draw(st.sampled_from([s for s in space.input_sizes if s <= most]))
    return Architecture(tuple(units), size)


@st.composite
def spaces(draw: st.DrawFn, *, narrowed: bool = True) -> ElasticSpace:
    """Small spaces of any form: one to three units, each with choices of its own, single choices, odd sizes, one input
    size or several; some with a smaller `largest`."""
    activations, feature = st.sampled_from(ACTIVATIONS), st.one_of(st.none(), st.integers(1, 48))
    space = ElasticSpace(
        input_sizes=draw(st.lists(st.integers(8, 40), min_size=1, max_size=3, unique=True).map(sorted).map(tuple)),
        stem=Stem(draw(st.integers(1, 24)), draw(st.sampled_from((1, 2))), draw(activations)),
        units=tuple(draw(st.lists(UNITS, min_size=1, max_size=3))),
        head=Head(draw(st.integers(1, 48)), draw(activations), draw(feature), draw(st.booleans())),
        width_multiplier=draw(st.sampled_from((0.25, 0.5, 1.0, 1.3))),
        padding=draw(st.sampled_from(("symmetric", "same"))),
        epsilon=draw(st.sampled_from((1e-5, 1e-3))),
    )
    if narrowed and draw(st.booleans()):
        return dataclasses.replace(space, largest=draw(architectures(space)))
    return space


BLOCKS = st.one_of(
    st.builds(
        Block,
        st.sampled_from((1, 3, 5)),
        st.integers(1, 3),
        st.integers(1, 3),
        st.just(False),
        st.booleans(),
    ),
    st.builds(Block, st.sampled_from((3, 5)), st.integers(1, 2), st.just(1), st.just(True), st.booleans()),
)


@st.composite
def cell_spaces(draw: st.DrawFn) -> CellSpace:
    """Small spaces of cells: one block a cell or several side by side, some cells without any to choose from."""
    cells = []
    for i in range(draw(st.integers(1, 4))):
        width, stride = draw(st.sampled_from((8, 12, 16))), draw(st.sampled_from((1, 1, 2)))
        keeps = i > 0 and stride == 1 and width == cells[-1].width
        blocks = draw(st.lists(BLOCKS, min_size=0 if keeps else 1, max_size=4, unique=True))
        cells.append(Cell(width, stride, tuple(blocks)))
    return CellSpace(
        input_size=draw(st.integers(8, 33)),
        width_multiplier=draw(st.sampled_from((0.5, 1.0))),
        stem_stride=draw(st.sampled_from((1, 2))),
        stem_width=draw(st.integers(1, 20)),
        first_width=draw(st.sampled_from((None, 8, 16))),
        head_width=draw(st.integers(1, 40)),
        feature_width=draw(st.sampled_from((None, 24))),
        activation=draw(st.sampled_from(("relu", "hard_swish"))),
        merge=draw(st.sampled_from(("residual", "mean"))),
        cells=tuple(cells),
    )


@st.composite
def cell_architectures(draw: st.DrawFn, space: CellSpace) -> Architecture:
    """Members of a space of cells."""
    units = []
    for cell, skips in zip(space.cells, space.skips, strict=True):
        most = min(1, len(cell.blocks)) if space.single else len(cell.blocks)
        places = st.integers(0, len(cell.blocks) - 1) if cell.blocks else st.nothing()
        chosen = draw(st.lists(places, min_size=1 - skips, max_size=most, unique=True))
        units.append(tuple(cell.blocks[j] for j in sorted(chosen)))
    return Architecture(tuple(units))


@st.composite
def cell_members(draw: st.DrawFn) -> tuple[CellSpace, Architecture]:
    """A space of cells and one of its members."""
    space = draw(cell_spaces())
    return space, draw(cell_architectures(space))


@st.composite
def members(draw: st.DrawFn) -> tuple[ElasticSpace, Architecture]:
    """A space and one of its members."""
    space = draw(spaces())
    return space, draw(architectures(space))


def random_gates(seed: int, *shape: int) -> np.ndarray:
    """Booleans, each row with its own share of True, so that large and small networks are as likely as medium."""
    rng = np.random.default_rng(seed)
    return rng.random(shape) < rng.random((*shape[:-1], 1))
