"""`eas evaluate`: how accurate the generated networks are on labelled images, by task and budget."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from eas_sdk.budget import Budget
from eas_sdk.cli.common import bundle_option, json_option, open_runtime, read_tasks, tasks_option, timed
from eas_sdk.cli.drawings import Drawings, load_drawings
from eas_sdk.cli.output import madds, percent, print_json, print_table, progress
from eas_sdk.images import as_float_batch
from eas_sdk.runtime import Runtime
from eas_sdk.task import ALL, AUTO, TaskLike

RESAMPLES = 10_000

MIXED = 5
"""Random unions, and as many random lists."""


@click.command()
@bundle_option
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of superclass/label.png or superclass/label/*.png.  [default: the drawings that ship]",
)
@click.option(
    "--budgets",
    default=5,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="Levels, evenly spaced from a task's smallest network to its largest.",
)
@tasks_option("Only these tasks.  [default: all that have images]")
@json_option
def evaluate(bundle: Path | None, images: Path | None, budgets: int, tasks: tuple[str, ...], as_json: bool) -> None:
    """Measure accuracy on labelled images.

    Top-1 within the task: which of its own labels an image shows. The mean weighs all tasks alike; its 95%
    interval is a bootstrap over the images of each task. Times are of one image at a time, in the network's own size.

    Beside the single tasks: unions of 2 to 4 of them and lists of 5 to 40 labels, drawn at random; all labels at once;
    and auto, where the router picks the task of each image first.

    \b
    Examples:
      eas evaluate
      eas evaluate --tasks birds,dogs --budgets 3
      eas evaluate --bundle mine.safetensors --images photos/test --json
    """
    runtime = open_runtime(bundle)
    tasks = read_tasks(runtime, tasks)
    drawings, fractions = load_drawings(runtime, images, tasks), np.linspace(0, 1, budgets).tolist()
    report = measure(runtime, drawings, fractions)
    report["kinds"] = measure_kinds(runtime, drawings, fractions)
    if as_json:
        print_json(report)
    else:
        _print(report)


def measure(runtime: Runtime, drawings: Sequence[Drawings], fractions: Sequence[float]) -> dict[str, Any]:
    """Accuracy of the networks for every task at every fraction of its budget range, as JSON-able data."""
    levels = []
    with progress("evaluate", len(fractions) * len(drawings)) as advance:
        for fraction in fractions:
            requests = [(d.task, budget_at(runtime, d.task, fraction)) for d in drawings]
            networks = []
            for d, architecture in zip(drawings, runtime.architectures(requests), strict=True):
                model = runtime.build(d.task, architecture)
                shown = as_float_batch(d.images, model.input_size)
                model.logits(shown[:1])  # the first call also sets up the memory
                runs = [timed(model.logits, image[None]) for image in shown]
                hits = np.array([logits.argmax() for logits, _ in runs]) == d.targets
                networks.append((model.madds, hits, sum(run_ms for _, run_ms in runs)))
                advance()
            levels.append(_level(fraction, drawings, networks))
    return {
        "levels": levels,
        "images": {d.task: len(d.images) for d in drawings},
        "classes": {d.task: len(runtime.labels(d.task)) for d in drawings},
    }


@dataclass(frozen=True, eq=False)
class Mixed:
    """Images of a task that is not one superclass; `targets` are labels."""

    task: TaskLike
    images: np.ndarray
    targets: Sequence[str]


def measure_kinds(runtime: Runtime, drawings: Sequence[Drawings], fractions: Sequence[float]) -> list[dict[str, Any]]:
    """Accuracy for unions, lists, all labels and "auto" at every fraction of their budget ranges."""
    kinds = mixtures(runtime, drawings)
    report = []
    with progress("evaluate", len(fractions) * sum(len(tasks) for tasks in kinds.values())) as advance:
        for kind, tasks in kinds.items():
            rows = []
            for fraction in fractions:
                found = []
                for task in tasks:
                    found.append(_predict(runtime, task, fraction))
                    advance()
                hits = [hit for hit, _ in found]
                rows.append(
                    {
                        "budget_fraction": fraction,
                        "mean_madds": round(float(np.mean([count for _, count in found]))),
                        "top1": float(np.mean([hit.mean() for hit in hits])),
                        "top1_interval_95": list(bootstrap_interval(hits)),
                    }
                )
            report.append({"kind": kind, "tasks": len(tasks), "levels": rows})
    return report


def mixtures(runtime: Runtime, drawings: Sequence[Drawings]) -> dict[str, list[Mixed]]:
    """Random tasks of each kind over images; of fewer superclasses or labels, smaller ones."""
    rng = random.Random(0)
    images = np.concatenate([d.images for d in drawings])
    labels = [runtime.labels(d.task)[target] for d in drawings for target in d.targets]
    names, shown = [d.task for d in drawings], list(dict.fromkeys(labels))

    def task(named: TaskLike) -> Mixed:
        wanted = set(runtime.labels(named))
        mine = [i for i, label in enumerate(labels) if label in wanted]
        return Mixed(named, images[mine], [labels[i] for i in mine])

    def drawn(pool: Sequence[str], least: int, most: int) -> list[Mixed]:
        counts = [rng.randint(min(least, len(pool)), min(most, len(pool))) for _ in range(MIXED)]
        return [task(rng.sample(pool, count)) for count in counts]

    kinds = {"unions": drawn(names, 2, 4), "lists": drawn(shown, 5, 40), ALL: [task(ALL)]}
    if runtime.router is not None:
        kinds[AUTO] = [Mixed(AUTO, images, labels)]
    return kinds


def _predict(runtime: Runtime, mixed: Mixed, fraction: float) -> tuple[np.ndarray, int]:
    """Which images are classified correctly, and the multiply-adds of one."""
    model: Any = runtime.specialize(mixed.task, Budget(level=fraction))
    found = model.predict(mixed.images, 1)
    return np.array([p.label == target for p, target in zip(found, mixed.targets, strict=True)]), model.madds


def budget_at(runtime: Runtime, task: str, fraction: float) -> int:
    """The budget at a fraction of a task's range, in multiply-adds."""
    low, high = runtime.budget_range(task)
    return int(low + fraction * (high - low))


def bootstrap_interval(hits: Sequence[np.ndarray], *, seed: int = 0) -> tuple[float, float]:
    """95% interval of the mean accuracy over tasks by the percentile bootstrap.

    The images of each task are resampled. The sum of n hits that are drawn with replacement is binomial.

    Args:
        hits: for each task, which images were classified correctly: bool [N].
    """
    rng = np.random.default_rng(seed)
    means = np.mean([rng.binomial(len(h), h.mean(), RESAMPLES) / len(h) for h in hits], axis=0)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high


def _level(
    fraction: float, drawings: Sequence[Drawings], networks: Sequence[tuple[int, np.ndarray, float]]
) -> dict[str, Any]:
    hits = [h for _, h, _ in networks]
    return {
        "budget_fraction": fraction,
        "mean_madds": round(float(np.mean([count for count, _, _ in networks]))),
        "top1": float(np.mean([h.mean() for h in hits])),
        "top1_interval_95": list(bootstrap_interval(hits)),
        "ms_per_image": sum(run_ms for *_, run_ms in networks) / sum(len(h) for h in hits),
        "top1_by_superclass": {d.task: float(h.mean()) for d, h in zip(drawings, hits, strict=True)},
    }


def _print(report: dict[str, Any]) -> None:
    levels = report["levels"]
    names = [f"{100 * level['budget_fraction']:.0f}%" for level in levels]
    total, classes = sum(report["images"].values()), sum(report["classes"].values())
    print_table(
        f"Top-1 within the task, {total} images, mean over {len(report['images'])} tasks ({classes} labels)",
        ["budget, of the range", "MAdds", "top-1", "95% interval", "ms/image"],
        [
            [
                name,
                madds(level["mean_madds"]),
                percent(level["top1"]),
                " to ".join(percent(end) for end in level["top1_interval_95"]),
                f"{level['ms_per_image']:.2f}",
            ]
            for name, level in zip(names, levels, strict=True)
        ],
    )
    print_table(
        "Top-1 by kind of task and budget",
        ["tasks", "number", "MAdds", *names],
        [
            [
                kind["kind"],
                str(kind["tasks"]),
                " to ".join(madds(kind["levels"][end]["mean_madds"]) for end in (0, -1)),
                *(percent(level["top1"]) for level in kind["levels"]),
            ]
            for kind in report["kinds"]
        ],
    )
    print_table(
        "Top-1 by task and budget",
        ["task", "labels", "images", *names],
        [
            [
                task,
                str(report["classes"][task]),
                str(count),
                *(percent(level["top1_by_superclass"][task]) for level in levels),
            ]
            for task, count in report["images"].items()
        ],
    )
