"""The spaces that have names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product

from eas_sdk.space.architecture import Block
from eas_sdk.space.cells.space import Cell, CellSpace
from eas_sdk.space.elastic.backbones import LITE0, MOBILENET_V3_LARGE, PAPER, SMALL
from eas_sdk.space.protocol import Space

Stages = Sequence[tuple[int, int, int]]
"""(width, cells, stride of the first of them)."""


def _cells(stages: Stages, blocks: tuple[Block, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(width, stride if i == 0 else 1, blocks) for width, n, stride in stages for i in range(n))


def _blocks(expansions: Sequence[int], squeeze: Sequence[bool]) -> tuple[Block, ...]:
    return tuple(
        Block(kernel, expansion, squeeze_excite=se) for se, expansion, kernel in product(squeeze, expansions, (3, 5, 7))
    )


NSE_BLOCKS = (
    *(Block(3, expansion, dilation) for expansion in (1, 3, 6) for dilation in (1, 2, 3)),
    *(Block(kernel, expansion) for kernel in (5, 7, 9, 11) for expansion in (1, 3, 6)),
    *(Block(kernel, expansion, factorised=True) for kernel in (5, 7) for expansion in (1, 2, 4)),
)
"""The 27 operations of NSE, section A.1, by their numbers in the public source."""

GREEDYNAS = CellSpace(
    input_size=224,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=32,
    first_width=16,
    head_width=1280,
    feature_width=None,
    activation="relu",
    merge="residual",
    cells=_cells(((32, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1)), _blocks((3, 6), (False,))),
)
"""GreedyNAS, table 5: MobileNetV2 blocks. Its ReLU6 is a ReLU here."""

GREEDYNAS_SE = dataclasses.replace(
    GREEDYNAS, cells=tuple(dataclasses.replace(cell, blocks=_blocks((3, 6), (False, True))) for cell in GREEDYNAS.cells)
)
"""GreedyNAS's augmented space, section 5.1: each block with squeeze-and-excitation or without."""

CREAM = CellSpace(
    input_size=224,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=16,
    first_width=16,
    head_width=320,
    feature_width=1280,
    activation="hard_swish",
    merge="residual",
    cells=_cells(((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2)), _blocks((4, 6), (True,))),
)
"""Cream, section 4.1: 3.69e16 networks. Its swish is a hard swish here, which phones compute in integers."""

NSE = CellSpace(
    input_size=224,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=16,
    first_width=None,
    head_width=1024,
    feature_width=None,
    activation="relu",
    merge="mean",
    cells=_cells(((16, 1, 1), (24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1)), NSE_BLOCKS),
)
"""NSE, table 4: 16 cells that average their input too, 6 that reduce or widen."""


def small(space: CellSpace, cells: int = 2) -> CellSpace:
    """A space for 64 px images: of each stage so many cells, 0.4 of the width, and a last stage that keeps its map."""
    kept: list[Cell] = []
    count = 0
    for before, cell in zip((None, *space.cells), space.cells, strict=False):
        count = count + 1 if before is not None and before.width == cell.width else 1
        if count <= cells:
            kept.append(cell)
    last = max(i for i, cell in enumerate(kept) if cell.stride == 2)
    kept[last] = dataclasses.replace(kept[last], stride=1)
    return dataclasses.replace(space, input_size=64, width_multiplier=0.4, cells=tuple(kept))


PRESETS: dict[str, Space] = {
    "paper": PAPER,
    "small": SMALL,
    "lite0": LITE0,
    "mobilenet-v3-large": MOBILENET_V3_LARGE,
    "greedynas": GREEDYNAS,
    "greedynas-se": GREEDYNAS_SE,
    "cream": CREAM,
    "nse": NSE,
    "greedynas-small": small(GREEDYNAS),
    "cream-small": small(CREAM),
    "nse-small": small(NSE),
}
"""Name in a recipe -> space."""
