"""`eas rounds`: what a training by NSE did in each of its rounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import percent, print_json, print_table
from eas_sdk.cli.plot import plot_option, save
from eas_sdk.extras import training_packages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eas_train.nse.history import Blocks, Round


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@plot_option("Draw fronts and operations here.")
@json_option
def rounds(folder: Path, plot: Path | None, as_json: bool) -> None:
    """Show the rounds of a training by NSE.

    DIR is the folder of the training, and holds rounds.json. The search may still be going on.

    \b
    Examples:
      eas train --recipe emoji-nse --out runs/nse
      eas rounds runs/nse --plot rounds.png
    """
    with training_packages():
        from eas_train.nse.history import read_history
    unit, history = read_history(folder)
    if plot is not None:
        from eas_train.nse.drawing import draw_rounds

        save(draw_rounds(unit, history), plot)
    if as_json:
        print_json({"unit": unit, "rounds": [_facts(one) for one in history]})
        return
    rows = []
    for number, one in enumerate(history, 1):
        best = max(one.front, key=lambda j: j.accuracy)
        costs = f"{one.front[0].cost:.2f} – {one.front[-1].cost:.2f}"
        counts = (_count(one.searched), _count(one.alive), len(one.judged), len(one.front))
        rows.append([str(number), *map(str, counts), costs, percent(best.accuracy), f"{best.cost:.2f}"])
    columns = ["round", "operations", "left", "judged", "front", f"its costs ({unit})", "best", "at"]
    print_table("Rounds; accuracies are on validation images", columns, rows)


def _count(cells: Sequence[Blocks]) -> int:
    return sum(map(len, cells))


def _facts(one: Round) -> dict[str, Any]:
    front = [{"architecture": str(j.architecture), "cost": j.cost, "accuracy": j.accuracy} for j in one.front]
    counts = {"operations": _count(one.searched), "left": _count(one.alive), "judged": len(one.judged)}
    return {**counts, "front": front}
