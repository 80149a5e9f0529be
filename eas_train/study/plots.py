"""The figures of a study, after the paper's: accuracy and similarity against MAdds, and drawings of architectures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eas_sdk.space.architecture import Architecture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KERNEL_COLOURS = {3: "#c6dbef", 5: "#6baed6", 7: "#2171b5", 9: "#08519c", 11: "#08306b"}
OTHER = "#999999"
MARKS = ("o-", "s--", "^:")
"""Ten methods each, in ten colours."""
SHOWN = 4
"""Superclasses whose architectures are drawn side by side (EAS, Figure D)."""


def draw_all(figures: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Name -> (title, PNG).

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    reference, names = figures["reference"], figures["superclasses"]
    budgets = [row["budget"] for row in figures["rows"] if row["method"] == reference]
    by_budget = figures["architectures"][reference]
    middle = len(budgets) // 2
    across = [(budget, row[0]) for budget, row in zip(budgets, by_budget, strict=True)]
    cells = reference in figures["side_by_side"]
    beside = list(zip(names, by_budget[middle], strict=True))[:SHOWN]
    return {
        "accuracy": ("Accuracy against multiply-adds", png(accuracy(figures))),
        "similarity": ("How alike the architectures of superclasses are", png(similarity(figures))),
        "budgets": (f"Architectures of {reference} for {names[0]}, by budget", png(architectures(across, cells=cells))),
        "superclasses": (
            f"Architectures of {reference} at a budget of {budgets[middle]}, by superclass",
            png(architectures(beside, cells=cells)),
        ),
    }


def accuracy(figures: Mapping[str, Any]) -> Figure:
    """Mean top-1 of each method against its mean MAdds; the band is the reference's interval."""
    figure, axes = _new(8.4, 4.4)
    for i, (name, rows) in enumerate(_by_method(figures).items()):
        madds = [row["mean_madds"] / 1e6 for row in rows]
        mean, low, high = ([100 * row["top1"][part] for row in rows] for part in range(3))
        width = 2 if name == figures["reference"] else 1
        (line,) = axes.plot(madds, mean, MARKS[i // 10 % len(MARKS)], markersize=4, linewidth=width, label=name)
        if name == figures["reference"]:
            axes.fill_between(madds, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set_xlabel("multiply-adds of one image (millions)")
    axes.set_ylabel("top-1 within the superclass (%)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def similarity(figures: Mapping[str, Any]) -> Figure:
    """Mean cosine similarity of the one-hot codes of all pairs of superclasses (EAS, Figure B)."""
    figure, axes = _new(8.4, 4.0)
    for i, (name, rows) in enumerate(_by_method(figures).items()):
        madds, alike = ([row[key] for row in rows] for key in ("mean_madds", "similarity"))
        axes.plot([m / 1e6 for m in madds], alike, MARKS[i // 10 % len(MARKS)], label=name)
    axes.set_xlabel("multiply-adds of one image (millions)")
    axes.set_ylabel("mean cosine similarity")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def architectures(shown: Sequence[tuple[str, str]], *, cells: bool = False) -> Figure:
    """One row for each architecture: a box for each block, as tall as its expansion ratio, coloured by its kernel.
    Units stand below each other; the input size, where there are several, behind them.

    Args:
        cells: whether the blocks of a unit lie side by side; they are then drawn one upon the other.
    """
    from matplotlib.patches import Patch

    figure, axes = _new(8.2, 0.8 + 0.85 * len(shown))
    kernels: set[int] = set()
    parsed = [Architecture.parse(text) for _, text in shown]
    deepest = [max(map(len, units)) for units in itertools.zip_longest(*(a.units for a in parsed), fillvalue=())]
    for row, ((title, _), architecture) in enumerate(zip(shown, parsed, strict=True)):
        if cells:
            _draw_cells(axes, architecture, -row)
        else:
            _draw_units(axes, architecture, -row, deepest)
        kernels.update(block.kernel for block in architecture.blocks)
        axes.text(-0.6, -row + 0.3, title, ha="right", va="center", fontsize=9)
    axes.set_xlim(-5, 24)
    axes.set_ylim(-len(shown) + 0.5, 1.0)
    axes.axis("off")
    legend = "boxes of a column: blocks of a cell" if cells else "height: expansion ratio"
    axes.text(-5, -len(shown) + 0.6, f"{legend}; number: expansion ratio; from left to right", fontsize=8)
    patches = [Patch(color=KERNEL_COLOURS.get(k, OTHER), label=f"kernel {k}") for k in sorted(kernels)]
    axes.legend(handles=patches, loc="upper right", frameon=False, fontsize=8, bbox_to_anchor=(1.0, 1.12), ncols=5)
    return figure


def _draw_cells(axes: Axes, architecture: Architecture, y: float) -> None:
    """A column for each cell, a box for each block that lies in it; a line where the input is handed on."""
    from matplotlib.patches import Rectangle

    width = 23.0 / len(architecture.units)
    for c, blocks in enumerate(architecture.units):
        x, height = c * width, 0.65 / max(1, len(blocks))
        if not blocks:
            axes.plot([x, x + 0.85 * width], [y + 0.32, y + 0.32], color="#08306b", linewidth=0.8)
        for i, block in enumerate(blocks):
            colour = KERNEL_COLOURS.get(block.kernel, OTHER)
            place = (x, y + i * height)
            axes.add_patch(Rectangle(place, 0.85 * width, height, facecolor=colour, edgecolor="#08306b", linewidth=0.6))
            label = f"{'x' if block.factorised else ''}{block.expansion:g}{'d' * (block.dilation - 1)}"
            axes.text(x + 0.42 * width, y + (i + 0.5) * height, label, ha="center", va="center", fontsize=6)


def _draw_units(axes: Axes, architecture: Architecture, y: float, deepest: Sequence[int]) -> None:
    """Boxes from left to right; `deepest` says how many places each unit takes."""
    from matplotlib.patches import Rectangle

    x, width = 0.0, 22.5 / (sum(deepest) + 0.6 * len(deepest))
    widest = max(block.expansion for block in architecture.blocks)
    for unit, places in zip(architecture.units, deepest, strict=False):
        for i, block in enumerate(unit):
            height = 0.65 * block.expansion / max(widest, 6)
            colour = KERNEL_COLOURS.get(block.kernel, OTHER)
            place = (x + i * width, y)
            axes.add_patch(Rectangle(place, 0.85 * width, height, facecolor=colour, edgecolor="#08306b", linewidth=0.6))
            middle = (x + (i + 0.42) * width, y + height / 2)
            axes.text(*middle, f"{block.expansion:g}", ha="center", va="center", fontsize=7)
        x += (places + 0.6) * width
    if architecture.input_size is not None:
        axes.text(x, y + 0.3, f"{architecture.input_size} px", va="center", fontsize=7)


def _by_method(figures: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in figures["rows"]:
        found.setdefault(row["method"], []).append(row)
    return found


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.subplots()


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
