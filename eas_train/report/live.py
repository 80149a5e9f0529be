"""`training.html`: how the training of a supernet goes, written again as it goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eas_sdk.bank.atomic import write_atomically
from eas_train import html_page, step_log
from eas_train.study.plots import png
from eas_train.supernet.recipe import SupernetRecipe
from eas_train.supernet.validation import LOG, mean_top1

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = "training.html"
EVERY_S = 15.0
LOSSES = "supernet.jsonl"
COLOURS = {"smallest": "#d95f02", "middle": "#7570b3", "largest": "#0b6e4f"}


@dataclass
class LivePage:
    """The page of one training.

    Attributes:
        folder: of the logs that it is made from, and its own.
    """

    name: str
    folder: Path
    recipe: SupernetRecipe
    _written: float = field(default=-EVERY_S, repr=False)

    def after(self, step: int) -> None:
        """Write it after a step, unless that was just done."""
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def finish(self) -> None:
        """Write it for the last time, unless that was done."""
        path = self.folder / PAGE
        if not path.is_file() or html_page.REFRESH in path.read_text(encoding="utf-8"):
            self.write(finished=True)

    def write(self, *, finished: bool = False) -> None:
        """Write it; one that is finished does not ask the browser to look again."""
        losses, looks = step_log.read(self.folder / LOSSES), step_log.read(self.folder / LOG)
        parts = [html_page.paragraph(self._state(losses, finished))]
        if losses or looks:
            parts.append(html_page.picture(png(_draw(losses, looks, self.recipe)), "loss and accuracy by step"))
        if looks:
            parts.append(html_page.table(_table(looks)))
        text = html_page.page(self.name, parts, refresh_s=None if finished else round(EVERY_S))
        write_atomically(self.folder / PAGE, [text.encode()])
        self._written = time.monotonic()

    def _state(self, losses: Sequence[dict[str, Any]], finished: bool) -> str:
        total = self.recipe.total_steps
        if finished:
            return f"The supernet is trained: {total} steps."
        if not losses:
            return f"The supernet begins: {total} steps."
        return f"Step {losses[-1]['step']} of {total}, phase {losses[-1]['phase']!r}. This page renews itself."


def _table(looks: Sequence[dict[str, Any]]) -> html_page.Table:
    names = list(looks[-1]["members"])
    best = max(looks, key=mean_top1)["step"]
    return ["step", "", *names], [
        [
            str(look["step"]),
            "best" if look["step"] == best else "",
            *(f"{look['members'][n]['top1']:.1%}" for n in names),
        ]
        for look in reversed(looks)
    ]


def _draw(losses: Sequence[dict[str, Any]], looks: Sequence[dict[str, Any]], recipe: SupernetRecipe) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.set_xlim(0, max(1, recipe.total_steps))
        axes.grid(alpha=0.3)
        _phases(axes, recipe)
    for phase in recipe.phases:
        mine = [entry for entry in losses if entry["phase"] == phase.name]
        left.plot([e["step"] for e in mine], [np.mean(e["losses"]) for e in mine], label=phase.name)
    left.set_ylabel("training loss, mean of a step's networks")
    for name in looks[-1]["members"] if looks else ():
        shares = [100 * look["members"][name]["top1"] for look in looks]
        right.plot([look["step"] for look in looks], shares, "o-", ms=3, color=COLOURS.get(name), label=name)
    right.set_ylabel("top-1 on validation images (%)")
    for axes in (left, right):
        if axes.lines:
            axes.legend(frameon=False)
    return figure


def _phases(axes: Axes, recipe: SupernetRecipe) -> None:
    """A line where one phase ends and the next begins."""
    end = 0
    for phase in recipe.phases[:-1]:
        end += phase.steps
        axes.axvline(end, color="grey", lw=0.8, ls=":")
