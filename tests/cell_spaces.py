"""Two small spaces of cells with every kind of block: one joins them as means, one as residuals."""

from __future__ import annotations

import dataclasses

from eas_sdk.space.architecture import Block
from eas_sdk.space.cells.space import Cell, CellSpace

PLAIN = (Block(3, 2), Block(5, 3, squeeze_excite=True), Block(7, 2))
ODD = (Block(3, 2, 2), Block(3, 1, 3), Block(9, 2), Block(5, 2, factorised=True), Block(7, 1, factorised=True))
MEANS = CellSpace(
    input_size=32,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=8,
    first_width=None,
    head_width=32,
    feature_width=None,
    activation="relu",
    merge="mean",
    cells=(Cell(8, 1, ODD), Cell(16, 2, (*PLAIN, *ODD)), Cell(16, 1, PLAIN), Cell(24, 2, ODD), Cell(24, 1, ODD)),
)
RESIDUALS = dataclasses.replace(
    MEANS, merge="residual", first_width=8, feature_width=32, activation="hard_swish", stem_width=16
)
SPACES = {"means": MEANS, "residuals": RESIDUALS}
