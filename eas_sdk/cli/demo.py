"""`eas demo`: several tasks, several budgets, real images; two tables and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
import numpy.typing as npt

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.budget import format_madds
from eas_sdk.cli.common import bundle_option, json_option, open_runtime, read_tasks, tasks_option, timed
from eas_sdk.cli.drawings import Drawings, attribution, load_drawings
from eas_sdk.cli.evaluate import budget_at
from eas_sdk.cli.output import percent, print_facts, print_json, print_table
from eas_sdk.cli.picture import Answer, Panel, Strip, render
from eas_sdk.errors import InputError
from eas_sdk.images import as_float_batch
from eas_sdk.model import Model, Prediction
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_sdk.task import ALL

T = TypeVar("T")

LEVELS = {"low": 0.0, "middle": 0.5, "top": 1.0}
TASKS = 4
BUDGETS = 7
SHOWN = 8
"""Images of a task in the picture."""


@dataclass(frozen=True)
class Timed:
    """One network and how long it took. Times are medians."""

    budget_madds: int
    architecture: str
    madds: int
    ms_per_image: float
    switch_ms: float
    images: int


@dataclass(frozen=True)
class Row(Timed):
    """A network for one task, and how it did."""

    task: str
    budget: str
    accuracy: float


@dataclass(frozen=True)
class Level(Timed):
    """A network for all labels at once, and how it did on all images."""

    accuracy: float
    accuracy_within_task: float


@click.command()
@click.option(
    "--out",
    "--output",
    "-o",
    "out",
    default="eas_demo.png",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="The picture to write.",
)
@bundle_option
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of superclass/label.png or superclass/label/*.png.  [default: the images that ship]",
)
@tasks_option(f"Only these tasks.  [default: {TASKS} that lie far apart]")
@json_option
def demo(out: Path, bundle: Path | None, images: Path | None, tasks: tuple[str, ...], as_json: bool) -> None:
    """Try it on images: two tables and a picture.

    All images ship with the package. First networks for all labels at once, at seven budgets: what a budget buys. Then
    networks for several tasks, at three budgets each. Switching is what it takes to go from one network to the next:
    select the architecture, slice it out of the weights, compile it.

    \b
    Examples:
      eas demo
      eas demo --tasks birds,dogs --out birds.png
    """
    if out.suffix.lower() != ".png" or not out.parent.is_dir() or out.is_dir():
        raise InputError(f"the picture is a file .png in a folder that exists; got {str(out)!r}")
    runtime = open_runtime(bundle)
    tasks = read_tasks(runtime, tasks)
    drawings = load_drawings(runtime, images, tasks)
    credit = attribution(runtime, images)
    rows, panels = [], []
    _run(runtime, drawings[0], "warm-up", 0.5)
    levels = over_budgets(runtime, drawings)
    if not tasks:
        most = sorted(drawings, key=lambda d: len(d.images), reverse=True)[: 2 * TASKS]
        drawings = spread([d for d in drawings if d in most], TASKS)
    for drawn in drawings:
        results = [_run(runtime, drawn, name, fraction) for name, fraction in LEVELS.items()]
        rows += [row for row, _ in results]
        panels.append(_panel(runtime, drawn, results))
    write_atomically(out, [render(panels, credit)])
    if as_json:
        figures = [dataclasses.asdict(row) for row in rows]
        budgets = [dataclasses.asdict(level) for level in levels]
        print_json({"picture": str(out), "attribution": credit, "budgets": budgets, "rows": figures})
    else:
        _print_levels(levels)
        _print(rows, out, credit)


def over_budgets(runtime: Runtime, drawings: Sequence[Drawings]) -> list[Level]:
    """Networks for all labels, from the smallest budget to the largest."""
    images = np.concatenate([d.images for d in drawings])
    owner = np.repeat([runtime.tasks.index(d.task) for d in drawings], [len(d.images) for d in drawings])
    places = [runtime.labels(ALL).index(runtime.labels(d.task)[target]) for d in drawings for target in d.targets]
    of_label = np.array([t for t, task in enumerate(runtime.tasks) for _ in runtime.labels(task)])
    levels = []
    for fraction in np.linspace(0, 1, BUDGETS).tolist():
        facts, _, logits = _timed(runtime, ALL, fraction, images)
        within = np.where(of_label == owner[:, None], logits, -np.inf)
        right, right_within = (float((found.argmax(1) == places).mean()) for found in (logits, within))
        levels.append(Level(**vars(facts), accuracy=right, accuracy_within_task=right_within))
    return levels


def _timed(
    runtime: Runtime, task: str, fraction: float, images: npt.NDArray[np.uint8]
) -> tuple[Timed, Model, npt.NDArray[np.float32]]:
    """Specialise for a task at a fraction of its budget range, and classify images one by one: facts, model, logits."""
    budget = budget_at(runtime, task, fraction)
    switches = [timed(runtime.specialize, task, budget) for _ in range(5)]
    model = switches[0][0]
    shown = as_float_batch(images, model.input_size)
    model.logits(shown[:1])  # the first call also sets up the memory
    runs = [timed(model.logits, image[None]) for image in shown]
    facts = Timed(
        budget_madds=budget,
        architecture=str(model.architecture),
        madds=model.madds,
        ms_per_image=float(np.median([run_ms for _, run_ms in runs])),
        switch_ms=float(np.median([switch_ms for _, switch_ms in switches])),
        images=len(images),
    )
    return facts, model, np.concatenate([found for found, _ in runs])


def spread(items: Sequence[T], count: int) -> list[T]:
    """`count` items, evenly spaced from the first to the last."""
    picked = sorted(set(np.linspace(0, len(items) - 1, count).round().astype(int).tolist()))
    return [items[i] for i in picked]


def _run(runtime: Runtime, drawn: Drawings, name: str, fraction: float) -> tuple[Row, list[Prediction]]:
    """A network for the task at a fraction of its budget range, and what it says of the task's images."""
    facts, model, logits = _timed(runtime, drawn.task, fraction, drawn.images)
    accuracy = float((logits.argmax(1) == drawn.targets).mean())
    return Row(**vars(facts), task=drawn.task, budget=name, accuracy=accuracy), model.named(logits)


def _panel(runtime: Runtime, drawn: Drawings, results: Sequence[tuple[Row, list[Prediction]]]) -> Panel:
    labels = runtime.labels(drawn.task)
    shown = spread(range(len(drawn.images)), SHOWN)
    strips = []
    for row, predictions in results:
        answers = [
            Answer(p.label, p.probability, p.label == labels[target])
            for p, target in ((predictions[i], drawn.targets[i]) for i in shown)
        ]
        title = f"budget {format_madds(row.budget_madds)}: a network of {format_madds(row.madds)} multiply-adds"
        note = f"{row.accuracy:.0%} of {row.images} right, {row.ms_per_image:.1f} ms an image"
        strips.append(Strip(title, note, answers))
    return Panel(f"{drawn.task}  ({len(labels)} labels)", [drawn.images[i] for i in shown], strips)


def _print_levels(levels: Sequence[Level]) -> None:
    print_table(
        f"Networks for all labels, cut out of one set of weights, classifying {levels[0].images} images",
        ["budget", "architecture<", "MAdds", "ms/image", "switch ms", "top-1", "top-1 within the task"],
        [
            [
                format_madds(level.budget_madds),
                compact(Architecture.parse(level.architecture)),
                format_madds(level.madds),
                f"{level.ms_per_image:.2f}",
                f"{level.switch_ms:.2f}",
                percent(level.accuracy),
                percent(level.accuracy_within_task),
            ]
            for level in levels
        ],
    )


def _print(rows: Sequence[Row], out: Path, credit: str) -> None:
    total = sum(row.images for row in rows[:: len(LEVELS)])
    print_table(
        f"Networks for single tasks, classifying {total} images",
        ["task", "budget", "architecture<", "MAdds", "ms/image", "switch ms", "top-1"],
        [
            [
                row.task,
                format_madds(row.budget_madds),
                compact(Architecture.parse(row.architecture)),
                format_madds(row.madds),
                f"{row.ms_per_image:.2f}",
                f"{row.switch_ms:.2f}",
                percent(row.accuracy),
            ]
            for row in rows
        ],
    )
    facts = {
        "architecture": "blocks of each unit, mean side of the kernels (k), mean expansion ratio (e)",
        "switch": "select the architecture, slice it out of the weights, compile it",
        "picture": str(out),
    }
    print_facts(facts | ({"credit": credit} if credit else {}))


def compact(architecture: Architecture) -> str:
    """An architecture in a few columns: blocks of each unit, mean kernel side, mean expansion ratio."""
    kernel = np.mean([block.kernel for block in architecture.blocks])
    expansion = np.mean([block.expansion for block in architecture.blocks])
    size = "" if architecture.input_size is None else f"{architecture.input_size}px "
    return f"{size}{'-'.join(map(str, architecture.depths))} k{kernel:.1f} e{expansion:.1f}"
