"""The picture of a diagnosis: what members score, what blocks add, how far filters turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eas_train.diagnosis.measure import IDLE_SHARE, Diagnosis
from eas_train.diagnosis.members import NAMES
from eas_train.supernet.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"depths": "#d95f02", "kernels": "#1b9e77", "expansions": "#7570b3", "input_sizes": "#e7298a"}


def draw(diagnosis: Diagnosis) -> Figure:
    """Three panels side by side.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.6), layout="constrained")
    scores, shares, turned = figure.subplots(1, 3, width_ratios=(4, 3, 4))
    _scores(scores, diagnosis)
    _shares(shares, diagnosis)
    _turned(turned, diagnosis, figure)
    return figure


def _scores(axes: Axes, diagnosis: Diagnosis) -> None:
    for choice, by_label in diagnosis.choices.items():
        _line(axes, list(by_label.values()), COLOURS[choice], f"by {NAMES[choice]}", "--", 1)
        for label, score in list(by_label.items())[:-1]:
            axes.annotate(
                label,
                (score.madds / 1e6, 100 * score.top1.mean()),
                xytext=(3, -9),
                fontsize=8,
                textcoords="offset points",
                color=COLOURS[choice],
            )
    _line(axes, list(diagnosis.members.values()), "black", "smallest to largest", "-", 2)
    axes.set_xlabel("multiply-adds (millions)")
    axes.set_ylabel(f"top-1 (%) on {diagnosis.images} validation images, all classes")
    axes.set_title("What capacity is worth")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _line(axes: Axes, scores: list[Score], colour: str, label: str, style: str, width: int) -> None:
    ordered = sorted(scores, key=lambda score: score.madds)
    top1 = np.array([score.top1.mean() for score in ordered])
    error = 1.96 * np.sqrt(top1 * (1 - top1) / len(ordered[0].top1))
    madds = [score.madds / 1e6 for score in ordered]
    axes.errorbar(madds, 100 * top1, 100 * error, fmt=f"o{style}", color=colour, lw=width, ms=4, capsize=2, label=label)


def _shares(axes: Axes, diagnosis: Diagnosis) -> None:
    blocks = [block for block in diagnosis.blocks if block.residual_share is not None]
    values = [100 * (block.residual_share or 0.0) for block in blocks]
    axes.barh(
        [block.block for block in blocks],
        values,
        color=["#b2182b" if v < 100 * IDLE_SHARE else "#4393c3" for v in values],
    )
    axes.axvline(100 * IDLE_SHARE, color="grey", lw=1, ls=":")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("what the block adds, % of what passes it by")
    axes.set_title("Residual branches")


def _turned(axes: Axes, diagnosis: Diagnosis, figure: Figure) -> None:
    by_length = sorted(diagnosis.blocks, key=lambda block: -len(block.moved))  # the longest has most layers, in order
    layers = list(dict.fromkeys(moved.layer.rpartition(".")[2] for block in by_length for moved in block.moved))
    columns = [*layers, "outermost taps"]
    table = np.full((len(diagnosis.blocks), len(columns)), np.nan)
    for i, block in enumerate(diagnosis.blocks):
        for moved in block.moved:
            table[i, columns.index(moved.layer.rpartition(".")[2])] = moved.cosine
            if moved.rings:
                table[i, -1] = moved.rings[-1]
    image = axes.imshow(table, aspect="auto", cmap="RdYlGn_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(diagnosis.blocks)), [block.block for block in diagnosis.blocks], fontsize=7)
    axes.set_title("Cosine of filters with where they began")
    figure.colorbar(image, ax=axes)
