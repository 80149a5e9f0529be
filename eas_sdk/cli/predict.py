"""`eas predict`: what images show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from eas_sdk.cli.common import bundle_option, json_option, open_runtime, read_task
from eas_sdk.cli.output import print_error, print_hint, print_json, print_table, progress
from eas_sdk.errors import ImageError
from eas_sdk.image_file import SUFFIXES, image_files, read_image
from eas_sdk.model import Prediction
from eas_sdk.router.model import RoutedModel
from eas_sdk.router.network import NONE
from eas_sdk.runtime import read_budget
from eas_sdk.task import AUTO

SURE = 0.5
"""Probability of the most probable label below which a prediction is said to be unsure."""


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option(
    "--task",
    default=AUTO,
    show_default=True,
    help="What the images show: a name that `eas info` lists; several, or labels, joined by commas; all; or auto, "
    "where the router picks the task for each image.",
)
@click.option(
    "--budget",
    default="100%",
    show_default=True,
    help="What one image may take: 40M, 12ms; auto, what the device's state allows; see `eas specialize`.",
)
@click.option(
    "--top-k",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many labels to show for an image.",
)
@click.option("--scene", is_flag=True, help="The images are frames of one scene: their task is picked once. [auto]")
@bundle_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    images: tuple[Path, ...],
    task: str,
    budget: str,
    top_k: int,
    scene: bool,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Say what images show.

    Of a folder all images below it are taken. An image is turned upright by its EXIF orientation, cropped to its
    central square (or, where it is transparent, centred whole on a white square), and resized (antialiased,
    bicubic) to the size of each network. Images that cannot be read are reported after the others; the exit code is
    then 2.

    \b
    Examples:
      eas predict photo.jpg
      eas predict *.png --task birds --budget 40M --top-k 1 --json
      eas predict photos --task birds,bugs
    """
    runtime = open_runtime(bundle)
    limit = read_budget(budget)
    model: Any = runtime.specialize(read_task(runtime, task), limit)
    routed = isinstance(model, RoutedModel)
    together = routed and scene
    frames, answers = [], []
    files, errors = _files(images)
    with progress("classify images", len(files)) as advance:
        for path in files:
            try:
                pixels = read_image(path)
            except ImageError as error:
                errors.append((str(path), str(error)))
            else:
                if together:
                    frames.append((str(path), pixels))
                else:  # one by one: photographs of full size are too many to hold
                    answers.append((str(path), model.predict([pixels], top_k)[0]))
            advance()
    if frames:
        found = model.predict([pixels for _, pixels in frames], top_k, scene=True)
        answers = [(name, answer) for (name, _), answer in zip(frames, found, strict=True)]
    if as_json:
        print_json(
            {
                "task": task,
                "budget": str(limit),
                "madds": model.madds,
                "architecture": None if routed else str(model.architecture),
                "predictions": [
                    {"image": name, **_json(answer, routed), "unsure": _unsure(answer)} for name, answer in answers
                ],
                "errors": [{"image": name, "error": text} for name, text in errors],
            }
        )
    elif answers:
        ranks = max(1, *(len(answer.top) for _, answer in answers))
        print_table(
            f"{task}, budget {limit}: {model.madds:,} multiply-adds",
            ["image", *(["task<"] if routed else []), *(f"{rank}.<" for rank in range(1, ranks + 1))],
            [[name, *_cells(answer, routed, ranks)] for name, answer in answers],
        )
        if unsure := sum(_unsure(answer) for _, answer in answers):
            print_hint(
                f"unsure of {unsure} of {len(answers)} images: their most probable label has less than {SURE:.0%}; a "
                "larger --budget may know better, or the image shows none of the labels"
            )
    for _, text in errors:
        print_error(text)
    if errors:
        ctx.exit(2)


def _files(named: Sequence[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """The image files that are meant, and what is wrong with (path, explanation) that mean none."""
    files: list[Path] = []
    errors = []
    for path in named:
        if not path.is_dir():
            files.append(path)
        elif below := image_files(path):
            files += below
        else:
            errors.append((str(path), f"{path} is a folder without images ({', '.join(SUFFIXES)})"))
    return files, errors


def _unsure(answer: Prediction) -> bool:
    return answer.probability < SURE


def _json(answer: Prediction, routed: bool) -> dict[str, object]:
    top = [{"label": label, "probability": p} for label, p in answer.top]
    return {"superclass": answer.superclass or None, "top": top} if routed else {"top": top}


def _cells(answer: Prediction, routed: bool, ranks: int) -> list[str]:
    labels = [f"{label} {p:.1%}" for label, p in answer.top]
    cells = [answer.superclass or NONE, *labels] if routed else labels
    return cells + [""] * (ranks + routed - len(cells))
