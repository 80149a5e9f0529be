"""NSE's rounds as a picture: how fronts move from round to round, and what becomes of each operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eas_sdk.space.architecture import Block
from eas_train.nse.history import Round

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE = "#cccccc"
FIRST, LATEST = 0.2, 0.85
"""Parts of the colour map that rounds lie between."""


def draw_rounds(unit: str, rounds: Sequence[Round]) -> Figure:
    """The networks that each round judged with their fronts, and the operations of each cell by the round they came in.

    Args:
        unit: of costs.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    operations = sorted({block for one in rounds for blocks in one.searched for block in blocks}, key=_order)
    height = max(4.0, 1.2 + 0.19 * len(operations))
    figure = Figure(figsize=(12.0, height), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    _draw_fronts(left, unit, rounds)
    _draw_operations(right, rounds, operations)
    return figure


def _draw_fronts(axes: Axes, unit: str, rounds: Sequence[Round]) -> None:
    for number in range(len(rounds)):
        one, colour = rounds[number], _colour(number, len(rounds))
        judged = [j.cost for j in one.judged], [100 * j.accuracy for j in one.judged]
        axes.scatter(*judged, s=7, color=colour, alpha=0.35, linewidths=0)
        front = [j.cost for j in one.front], [100 * j.accuracy for j in one.front]
        axes.plot(*front, "o-", color=colour, markersize=4, label=f"round {number + 1}: {len(one.front)} networks")
    axes.set_xlabel(f"cost ({unit})")
    axes.set_ylabel("top-1 within the superclass on validation images (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, title="Fronts among the networks judged")


def _draw_operations(axes: Axes, rounds: Sequence[Round], operations: Sequence[Block]) -> None:
    """A square for each operation of a cell: pale where it was dropped or passed over, with a dot where the last front
    has it; coloured by the round in which it came."""
    from matplotlib.patches import Rectangle

    rows = {block: row for row, block in enumerate(operations)}
    cells = len(rounds[0].searched)
    for c in range(cells):
        last = {block for one in rounds[-1].front for block in one.architecture.units[c]}
        came: dict[Block, int] = {}
        for number, one in enumerate(rounds):
            for block in one.searched[c]:
                came.setdefault(block, number)
        for block, number in came.items():
            stays = block in last
            place = (c + 0.08, rows[block] + 0.08)
            colour = _colour(number, len(rounds))
            axes.add_patch(
                Rectangle(place, 0.84, 0.84, facecolor=colour, alpha=1.0 if stays else 0.3, edgecolor="none")
            )
            if stays:
                axes.plot(c + 0.5, rows[block] + 0.5, "o", color="white", markersize=4)
    axes.set_xlim(0, cells)
    axes.set_ylim(0, len(operations))
    axes.set_xticks([c + 0.5 for c in range(cells)], [str(c + 1) for c in range(cells)], fontsize=8)
    axes.set_yticks([row + 0.5 for row in range(len(operations))], list(map(str, operations)), fontsize=7)
    axes.tick_params(length=0)
    axes.set_xlabel("cell")
    axes.set_title("Operations, coloured by the round they came in; with a dot: in the last front", fontsize=9)
    for side in axes.spines.values():
        side.set_color(EDGE)


def _order(block: Block) -> tuple[bool, int, int, float]:
    return block.factorised, block.dilation, block.kernel, block.expansion


def _colour(number: int, count: int) -> tuple[float, float, float, float]:
    import matplotlib

    place = FIRST + (LATEST - FIRST) * number / max(1, count - 1)
    red, green, blue, alpha = matplotlib.colormaps["plasma"](place)
    return float(red), float(green), float(blue), float(alpha)
