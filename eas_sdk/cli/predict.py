"""`eas predict`: what images show."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from eas_sdk.cli.common import bundle_option, json_option, open_runtime
from eas_sdk.cli.images import read_image
from eas_sdk.cli.output import print_error, print_json, print_table, progress
from eas_sdk.errors import ImageError


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="What the images show: a name that `eas info` lists.")
@click.option(
    "--budget", default="auto", show_default=True, help="What one image may take: 4M, 12ms; see `eas specialize`."
)
@click.option(
    "--top-k",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many labels to show for an image.",
)
@bundle_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    images: tuple[Path, ...],
    task: str,
    budget: str,
    top_k: int,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Say what images show.

    Any format that Pillow decodes is read. An image is turned upright by its EXIF orientation, cropped to its
    central square (or, where it is transparent, centred whole on a white square), and resized (antialiased,
    bicubic) to the network's input. Images that cannot be read are reported after the others; the exit code is then 2.

    \b
    Examples:
      eas predict photo.jpg --task birds --budget 4M
      eas predict *.png --task birds --budget 4M --top-k 1 --json
    """
    runtime = open_runtime(bundle)
    model = runtime.specialize(task, budget)
    pixels, read, errors = [], [], []
    with progress("read images", len(images)) as advance:
        for path in images:
            try:
                pixels.append(read_image(path, model.input_size))
                read.append(str(path))
            except (ImageError, OSError) as error:
                errors.append((str(path), str(error)))
            advance()
    predictions = model.predict(np.stack(pixels), top_k) if pixels else []
    answers = list(zip(read, predictions, strict=True))
    if as_json:
        print_json(
            {
                "task": task,
                "madds": model.madds,
                "architecture": str(model.architecture),
                "predictions": [
                    {"image": name, "top": [{"label": label, "probability": p} for label, p in answer.top]}
                    for name, answer in answers
                ],
                "errors": [{"image": name, "error": text} for name, text in errors],
            }
        )
    elif predictions:
        ranks = range(1, len(predictions[0].top) + 1)
        print_table(
            f"{task}, {model.madds:,} multiply-adds",
            ["image", *(f"{rank}.<" for rank in ranks)],
            [[name, *(f"{label} {p:.1%}" for label, p in answer.top)] for name, answer in answers],
        )
    for name, text in errors:
        print_error(f"{name}: {text}")
    if errors:
        ctx.exit(2)
