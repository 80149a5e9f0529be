"""`eas evaluate`: how accurate the generated networks are on labelled images, by task and budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from eas_sdk.cli.common import bundle_option, json_option, open_runtime, tasks_option, timed
from eas_sdk.cli.drawings import Drawings, load_drawings
from eas_sdk.cli.output import madds, percent, print_json, print_table, progress
from eas_sdk.runtime import Runtime

RESAMPLES = 10_000


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
    interval is a bootstrap over the images of each task. Times are of one image at a time.

    \b
    Examples:
      eas evaluate
      eas evaluate --tasks birds,tools --budgets 3
      eas evaluate --bundle mine.safetensors --images photos/test --json
    """
    runtime = open_runtime(bundle)
    report = measure(runtime, load_drawings(runtime, images, tasks), np.linspace(0, 1, budgets).tolist())
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
                model.logits(d.images[:1])  # the first call also sets up the memory
                runs = [timed(model.logits, image[None]) for image in d.images]
                hits = np.array([logits.argmax() for logits, _ in runs]) == d.targets
                networks.append((model.madds, hits, sum(run_ms for _, run_ms in runs)))
                advance()
            levels.append(_level(fraction, drawings, networks))
    return {
        "levels": levels,
        "images": {d.task: len(d.images) for d in drawings},
        "classes": {d.task: len(runtime.labels(d.task)) for d in drawings},
    }


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
