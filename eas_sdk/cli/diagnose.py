"""`eas diagnose`: whether the capacity of a trained supernet is used. It needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eas_sdk.budget import format_madds
from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import print_json, print_table
from eas_sdk.cli.train import device_option
from eas_sdk.extras import training_packages


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), metavar="RUN")
@click.option("--images", type=click.IntRange(1), default=2000, show_default=True, help="Validation images, at most.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Where the picture goes.  [default: RUN/diagnosis.png]",
)
@device_option
@json_option
def diagnose(run: Path, images: int, picture: Path | None, device: str, as_json: bool) -> None:
    """Tell whether the capacity of a trained supernet is used.

    RUN is the folder of an `eas train`. The smallest, the middle and the largest network are judged on validation
    images, and the largest with one choice made smaller at a time; of every block it is told how much it adds to what
    passes it by, and how far its filters turned from where they began. Where a part of the space has not been learned,
    a sentence says so. `eas train` does the same at the end of its supernet stage.

    \b
    Example:
      eas diagnose runs/mine
    """
    with training_packages():
        from eas_train.device import torch_device
        from eas_train.diagnosis.command import diagnose_run
    report = diagnose_run(run, torch_device(device), most_images=images, picture=picture)
    if as_json:
        print_json(report)
    else:
        print_diagnosis(report)


def print_diagnosis(report: dict[str, Any]) -> None:
    """Tables and sentences of a diagnosis."""
    rows = [_row(name, member) for name, member in report["members"].items()]
    for by_label in report["choices"].values():
        rows += [_row(label, score, score["most_minus_this"]) for label, score in list(by_label.items())[:-1]]
    print_table(
        f"Accuracy on {report['validation_images']} validation images",
        ["network", "MAdds", "all classes", "within superclass", "the largest is better by"],
        rows,
    )
    print_table(
        "Blocks of the largest network",
        ["block", "adds, of what passes by", "cosine with where it began (expand, depthwise, project, ...)"],
        [
            [
                block["block"],
                "" if block["residual_share"] is None else f"{block['residual_share']:.0%}",
                "  ".join(f"{moved['cosine']:.2f}" for moved in block["moved"]),
            ]
            for block in report["blocks"]
        ],
    )
    for sentence in report["findings"]:
        click.echo(sentence)


def _row(name: str, score: dict[str, Any], better: list[float] | None = None) -> list[str]:
    points = "" if better is None else "{:+.1f} ({:.1f} to {:.1f}) points".format(*(100 * value for value in better))
    return [name, format_madds(score["madds"]), f"{score['top1']:.1%}", f"{score['within_superclass']:.1%}", points]
