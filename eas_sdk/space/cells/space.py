"""Spaces of cells, as frozen data: a fixed chain of cells, each with blocks of its own to choose from.

Where cells are joined as residuals, a cell holds one block, whose input is added (MobileNetV2), or none where input
and output have one shape (GreedyNAS, table 5; Cream, appendix A). Where they are joined as means, any of a cell's
blocks lie side by side and are averaged, with the input where the shapes allow it (NSE, Eq. 1). Every block has weights
of its own.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.cost import madds
from eas_sdk.graph.nodes import Linear, Node
from eas_sdk.processes import PickledByFields
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.cells import network
from eas_sdk.space.protocol import BoolArray, IntArray, Numbers, Part, Space
from eas_sdk.space.widths import (
    MAX_CHOICE,
    MAX_INPUT_SIZE,
    MAX_WIDTH,
    check_integer,
    check_multiplier,
    make_divisible,
)

KIND = "cells"
MERGES = ("residual", "mean")
ACTIVATIONS = ("relu", "hard_swish")

MAX_CELLS, MAX_BLOCKS = 64, 32

EPSILON = 1e-5


@dataclass(frozen=True)
class Cell:
    """One cell: its width before the multiplier, its stride, and the blocks to choose from."""

    width: int
    stride: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        check_integer("the width of a cell", self.width, 1, MAX_WIDTH)
        check_integer("the stride of a cell", self.stride, 1, 2)
        if len(self.blocks) > MAX_BLOCKS or len(set(self.blocks)) != len(self.blocks):
            raise ArchitectureError(
                f"a cell has at most {MAX_BLOCKS} different blocks; got {reprlib.repr(list(map(str, self.blocks)))}"
            )
        for block in self.blocks:
            for name in ("kernel", "expansion", "dilation"):
                check_integer(f"the {name} of a block", getattr(block, name), 1, MAX_CHOICE)
            if block.kernel % 2 == 0:
                raise ArchitectureError(f"kernels are odd; got {block}")


@dataclass(frozen=True)
class CellSpace(PickledByFields):
    """A search space of cells.

    Attributes:
        input_size: side of the square input image, in pixels.
        width_multiplier: scales every width; results are rounded to multiples of 8.
        stem_stride: stride of the first convolution, 1 or 2.
        stem_width, head_width: widths before the multiplier.
        first_width: of a fixed block without expansion behind the stem; None: there is none.
        feature_width: of a layer over the means of the head's channels; None: there is none.
        activation: of all layers that have one, squeeze-and-excitation aside.
        merge: "residual": one block a cell, and its input is added; "mean": any number of them, averaged.
        cells: in order.

    Raises:
        ArchitectureError: a value is of another type or out of range; the message names it.
    """

    input_size: int
    width_multiplier: float
    stem_stride: int
    stem_width: int
    first_width: int | None
    head_width: int
    feature_width: int | None
    activation: Literal["relu", "hard_swish"]
    merge: Literal["residual", "mean"]
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        check_integer("input_size", self.input_size, 8, MAX_INPUT_SIZE)
        check_integer("stem_stride", self.stem_stride, 1, 2)
        for name in ("stem_width", "first_width", "head_width", "feature_width"):
            if getattr(self, name) is not None or name in ("stem_width", "head_width"):
                check_integer(name, getattr(self, name), 1, MAX_WIDTH)
        check_multiplier(self.width_multiplier)
        for name, options in (("activation", ACTIVATIONS), ("merge", MERGES)):
            if getattr(self, name) not in options:
                raise ArchitectureError(f"{name} is one of {options}; got {reprlib.repr(getattr(self, name))}")
        if not 1 <= len(self.cells) <= MAX_CELLS:
            raise ArchitectureError(f"a space has 1 to {MAX_CELLS} cells; got {len(self.cells)}")
        for c, cell in enumerate(self.cells):
            if not cell.blocks and not self.skips[c]:
                raise ArchitectureError(f"cell {c} changes the shape of its input and needs a block; it has none")

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in dataclasses.fields(self)))

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """See `Space.input_sizes`: there is one."""
        return (self.input_size,)

    @property
    def epsilon(self) -> float:
        """See `Space.epsilon`."""
        return EPSILON

    @property
    def single(self) -> bool:
        """Whether a cell holds one block at most."""
        return self.merge == "residual"

    def width(self, value: int) -> int:
        """A width after the width multiplier, in channels."""
        return make_divisible(value * self.width_multiplier)

    def widths(self, cell: int) -> tuple[int, int]:
        """Input and output channels of a cell."""
        first = self.stem_width if self.first_width is None else self.first_width
        before = self.cells[cell - 1].width if cell else first
        return self.width(before), self.width(self.cells[cell].width)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Side of each cell's input, and of the last one's output."""
        sizes = [(self.input_size - 1) // self.stem_stride + 1]
        for cell in self.cells:
            sizes.append((sizes[-1] - 1) // cell.stride + 1)
        return tuple(sizes)

    @cached_property
    def skips(self) -> tuple[bool, ...]:
        """Of each cell, whether it hands on its input: as what it is without blocks, or among its blocks' mean."""
        return tuple(cell.stride == 1 and self.widths(c)[0] == self.widths(c)[1] for c, cell in enumerate(self.cells))

    @cached_property
    def _order(self) -> tuple[tuple[int, ...], ...]:
        """The positions of each cell's blocks, by ascending multiply-adds."""

        def total(cell: int, block: Block) -> int:
            return sum(madds(node) for node in network.block_nodes(self, cell, block, network.SOURCE))

        totals = [[total(c, block) for block in cell.blocks] for c, cell in enumerate(self.cells)]
        return tuple(tuple(sorted(range(len(costs)), key=costs.__getitem__)) for costs in totals)

    @cached_property
    def smallest(self) -> Architecture:
        """See `Space.smallest`: no block, or the one of fewest multiply-adds."""
        return Architecture(
            tuple(
                () if skips else (cell.blocks[order[0]],)
                for cell, order, skips in zip(self.cells, self._order, self.skips, strict=True)
            )
        )

    @cached_property
    def largest(self) -> Architecture:
        """See `Space.largest`: the block of most multiply-adds, or all of them."""
        return Architecture(
            tuple(
                (tuple(cell.blocks[j] for j in order[-1:]) if self.single else cell.blocks)
                for cell, order in zip(self.cells, self._order, strict=True)
            )
        )

    @property
    def nested(self) -> bool:
        """See `Space.nested`: every block has weights of its own."""
        return False

    @cached_property
    def options(self) -> tuple[int, ...]:
        """See `Space.options`: of each cell, no block first where that is allowed; or, of each block, off and on."""
        if not self.single:
            return (2,) * self.features
        return tuple(len(cell.blocks) + skips for cell, skips in zip(self.cells, self.skips, strict=True))

    @cached_property
    def features(self) -> int:
        """See `Space.features`: one for each block of each cell."""
        return sum(len(cell.blocks) for cell in self.cells)

    @property
    def random_numbers(self) -> int:
        """See `Space.random_numbers`."""
        return 1 + len(self.options)

    def validate(self, architecture: Architecture) -> None:
        """See `Space.validate`."""
        if not isinstance(architecture, Architecture):
            raise ArchitectureError(
                "an architecture is an eas_sdk.Architecture (Architecture.parse reads text); "
                f"got {reprlib.repr(architecture)}"
            )
        if architecture.input_size is not None:
            raise ArchitectureError(
                f"a space of cells has one input size, {self.input_size} px, which its architectures leave out; got "
                f"{architecture.input_size} px"
            )
        if len(architecture.units) != len(self.cells):
            raise ArchitectureError(f"this space has {len(self.cells)} cells; got {len(architecture.units)} units")
        for c, (cell, blocks) in enumerate(zip(self.cells, architecture.units, strict=True)):
            least, most = 1 - self.skips[c], 1 if self.single else len(cell.blocks)
            if not least <= len(blocks) <= most:
                raise ArchitectureError(f"cell {c} may have {least} to {most} blocks; got {len(blocks)}")
            for block in blocks:
                if block not in cell.blocks:
                    raise ArchitectureError(f"cell {c} may have blocks {' '.join(map(str, cell.blocks))}; got {block}")
            places = [cell.blocks.index(block) for block in blocks]
            if places != sorted(set(places)):
                raise ArchitectureError(
                    f"the blocks of cell {c} are written once and in the order {' '.join(map(str, cell.blocks))}; got "
                    f"{' '.join(map(str, blocks))}"
                )

    def structure(self, architecture: Architecture, classes: int, *, input_size: int | None = None) -> tuple[Node, ...]:
        """See `Space.structure`."""
        self.validate(architecture)
        space = self if input_size in (None, self.input_size) else dataclasses.replace(self, input_size=input_size)
        return network.structure(space, architecture, classes)

    def bank(self, classes: int) -> tuple[Node, ...]:
        """See `Space.bank`: the nodes of all blocks."""
        blocks = [
            node
            for c, cell in enumerate(self.cells)
            for block in cell.blocks
            for node in network.block_nodes(self, c, block, network.SOURCE)
        ]
        return (*network.before(self), *blocks, *network.after(self, network.SOURCE, classes))

    def classifier(self, classes: int) -> Linear:
        """See `Space.classifier`."""
        *_, last = network.after(self, network.SOURCE, classes)
        assert isinstance(last, Linear)
        return last

    def encode(self, architectures: Sequence[Architecture]) -> IntArray:
        """See `Space.encode`."""
        rows = np.zeros((len(architectures), len(self.options)), np.int8)
        for row, architecture in zip(rows, architectures, strict=True):
            self.validate(architecture)
            for c, blocks in enumerate(architecture.units):
                for block in blocks:
                    place = self.cells[c].blocks.index(block)
                    if self.single:
                        row[c] = place + self.skips[c]
                    else:
                        row[self._first[c] + place] = 1
        return rows

    def decode(self, row: IntArray) -> Architecture:
        """See `Space.decode`."""
        on = self.features_of(row)
        return Architecture(
            tuple(
                tuple(block for j, block in enumerate(cell.blocks) if on[first + j])
                for cell, first in zip(self.cells, self._first, strict=True)
            )
        )

    @cached_property
    def _first(self) -> tuple[int, ...]:
        """The first feature of each cell."""
        counts = [len(cell.blocks) for cell in self.cells]
        return tuple(np.cumsum([0, *counts])[:-1].tolist())

    @cached_property
    def _owner(self) -> IntArray:
        """[features]: the cell of each."""
        return np.repeat(np.arange(len(self.cells)), [len(cell.blocks) for cell in self.cells])

    @cached_property
    def _place(self) -> IntArray:
        """[features]: the position of each in its cell."""
        return np.arange(self.features) - np.asarray(self._first, np.int64)[self._owner]

    def allowed(self, choices: IntArray) -> BoolArray:
        """See `Space.allowed`."""
        within = ((choices >= 0) & (choices < np.asarray(self.options))).all(-1)
        if self.single:
            return np.asarray(within)
        held = self._counts(choices.astype(np.bool_)) > 0
        return np.asarray(within & (held | np.asarray(self.skips)).all(-1))

    def _counts(self, on: BoolArray) -> IntArray:
        """[..., cells]: how many blocks [..., features] each cell holds."""
        mine = self._owner[:, None] == np.arange(len(self.cells))
        return np.asarray(on.astype(np.float32) @ mine.astype(np.float32)).astype(np.int64)

    def members(self, uniform: npt.NDArray[np.float64]) -> IntArray:
        """See `Space.members`: cheap blocks, or many of them, are as likely as a number that is itself drawn says."""
        level, each = uniform[:, :1], uniform[:, 1:]
        if not self.single:
            on = each < level
            bare = (self._counts(on) == 0) & ~np.asarray(self.skips)
            for c in np.flatnonzero(bare.any(0)).tolist():
                span = slice(self._first[c], self._first[c] + len(self.cells[c].blocks))
                rows = np.flatnonzero(bare[:, c])
                on[rows, self._first[c] + each[rows, span].argmin(1)] = True
            return on.astype(np.int8)
        options = np.asarray(self.options)
        # The power is 1 at a level of one half: all options are then equally likely.
        rank = np.minimum((options * each ** ((1 - level) / np.maximum(level, 1e-9))).astype(np.int64), options - 1)
        choices = np.zeros(rank.shape, np.int8)
        for c, (order, skips) in enumerate(zip(self._order, self.skips, strict=True)):
            ascending = np.array(([0] if skips else []) + [j + skips for j in order])
            choices[:, c] = ascending[rank[:, c]]
        return choices

    def features_of(self, choices: IntArray) -> BoolArray:
        """See `Space.features_of`: which blocks are there."""
        if not self.single:
            return choices.astype(np.bool_)
        skips = np.asarray(self.skips)[self._owner]
        return np.asarray(choices[..., self._owner] == self._place + skips)

    def features_among(self, wider: Space) -> list[int]:
        """See `Space.features_among`."""
        assert isinstance(wider, CellSpace)
        return [
            wider._first[c] + wider.cells[c].blocks.index(block)
            for c, cell in enumerate(self.cells)
            for block in cell.blocks
        ]

    def scope(self, name: str) -> tuple[list[int], list[int]]:
        """See `Space.scope`: a block's weights are its own, whatever lies beside it."""
        if name == "head":
            return [], list(range(self.features))
        prefix, _, _ = name.partition(".")
        return [], list(range(self._first[int(prefix[4:])])) if prefix.startswith("cell") else []

    def parts(self, choices: IntArray) -> IntArray:
        """See `Space.parts`: of each cell its block; or, of each block, how many are before it, and the means. Then
        what lies before and behind the cells."""
        searched = self._searched(choices)
        last = self._positions[1][-1] + max(0, len(self.cells[-1].blocks) + self.skips[-1] - 1)
        first = 1 + self.features if self.single else last
        return np.concatenate([searched, np.broadcast_to([first, first + 1], (*searched.shape[:-1], 2))], -1)

    def _searched(self, choices: IntArray) -> IntArray:
        """The parts that choices decide."""
        if self.single:
            place = choices.astype(np.int64) - np.asarray(self.skips)
            return np.where(place >= 0, 1 + np.asarray(self._first) + place, 0)
        on = self.features_of(choices)
        same = self._owner[:, None] == self._owner
        weights = on.astype(np.float32)
        done = (weights @ np.triu(same, 1).astype(np.float32)).astype(np.int64)
        last = weights @ np.tril(same, -1).astype(np.float32) == 0
        blocks, means = self._positions
        forms = done + np.where(last & ~np.asarray(self.skips)[self._owner], self._place + 1, 0)
        joined = self._counts(on) + np.asarray(self.skips)
        return np.concatenate([np.where(on, blocks + forms, 0), np.where(joined > 1, means + joined - 2, 0)], -1)

    @cached_property
    def _positions(self) -> tuple[IntArray, IntArray]:
        """Where in `every_part` the forms of each block [features] and the means of each cell [cells] begin."""
        blocks, means, position = [], [], 1
        for c, cell in enumerate(self.cells):
            for j in range(len(cell.blocks)):
                blocks.append(position)
                position += (j + 1) * (2 - self.skips[c])
            means.append(position)
            position += max(0, len(cell.blocks) + self.skips[c] - 1)
        return np.array(blocks, np.int64), np.array(means, np.int64)

    def every_part(self) -> Iterator[Part]:
        """See `Space.every_part`."""
        return network.every_part(self)

    def by_block(self, costs: Numbers) -> Numbers:
        """[features]: of costs [1 + parts], those of each block, as the first of its cell."""
        first = 1 + np.arange(self.features) if self.single else self._positions[0]
        picked: Numbers = costs[first]
        return picked

    def monotonic(self, costs: Numbers) -> Numbers:
        """See `Space.monotonic`: no block costs less than the smallest network's in its cell."""
        raised: Numbers = costs.copy()
        starts = (1 + np.asarray(self._first)) if self.single else self._positions[0]
        for c, (order, skips) in enumerate(zip(self._order, self.skips, strict=True)):
            if skips:
                continue
            if self.single:
                span, least = slice(starts[c], starts[c] + len(order)), costs[starts[c] + order[0]]
            else:
                span = slice(starts[self._first[c]], self._positions[1][c])
                least = costs[starts[self._first[c] + order[0]]]
            raised[span] = np.maximum(raised[span], least)
        return raised

    def covering(self) -> list[Architecture]:
        """See `Space.covering`: where a cell holds one block, its blocks in turn."""
        if not self.single:
            return [self.largest]
        turns = max(1, *(len(cell.blocks) for cell in self.cells))
        return [
            Architecture(tuple((cell.blocks[i % len(cell.blocks)],) if cell.blocks else () for cell in self.cells))
            for i in range(turns)
        ]

    def narrowed(self, architectures: Sequence[Architecture]) -> CellSpace:
        """See `Space.narrowed`: without the blocks that none of them has."""
        used = np.asarray(self.features_of(self.encode(architectures)).any(0))
        cells = tuple(
            dataclasses.replace(cell, blocks=tuple(b for j, b in enumerate(cell.blocks) if used[first + j]))
            for cell, first in zip(self.cells, self._first, strict=True)
        )
        return dataclasses.replace(self, cells=cells)

    def in_words(self) -> str:
        """See `Space.in_words`."""
        most = max(len(cell.blocks) for cell in self.cells)
        how = "one or none of them in each" if self.single else "any of them side by side, averaged"
        return f"{len(self.cells)} cells of up to {most} blocks, {how}"

    def to_json(self) -> dict[str, object]:
        """A JSON-able form that `from_json` reads back to an equal space."""
        data: dict[str, object] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        data["cells"] = [
            {"width": cell.width, "stride": cell.stride, "blocks": [str(block) for block in cell.blocks]}
            for cell in self.cells
        ]
        return {"kind": KIND} | data

    @classmethod
    def from_json(cls, data: object) -> CellSpace:
        """Inverse of `to_json`.

        Raises:
            BundleError: a field is missing, unknown or of the wrong type.
            ArchitectureError: the values break a rule of the space.
        """
        values = _fields(data, [field.name for field in dataclasses.fields(cls)], "a space of cells")
        cells = values["cells"]
        if not isinstance(cells, list):
            raise BundleError(f"the cells of a search space are a list; got {reprlib.repr(cells)}")
        return cls(**{**values, "cells": tuple(_cell(cell) for cell in cells)})


def _cell(data: object) -> Cell:
    values = _fields(data, [field.name for field in dataclasses.fields(Cell)], "a cell")
    blocks = values["blocks"]
    if not isinstance(blocks, list) or not all(isinstance(block, str) for block in blocks):
        raise BundleError(f"the blocks of a cell are a list of texts; got {reprlib.repr(blocks)}")
    return Cell(values["width"], values["stride"], tuple(Block.parse(block) for block in blocks))


def _fields(data: object, names: list[str], what: str) -> dict[str, Any]:
    """The fields of an object, all of them and no others; "kind" aside."""
    given = {key: value for key, value in data.items() if key != "kind"} if isinstance(data, Mapping) else {}
    if set(given) != set(names):
        raise BundleError(f"{what} has the fields {names}; got {reprlib.repr(data)}")
    return given
