"""`eas study`: methods compared, with intervals. It needs the extras `train` and `bench`."""

from __future__ import annotations

from pathlib import Path

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import print_json, print_table
from eas_sdk.cli.train import data_options, device_option
from eas_sdk.extras import training_packages

MARGIN = 32
"""Pixels by which training images are larger than the network's input: augmentation turns and enlarges them."""


@click.command()
@click.argument("config", default="emoji", metavar="[NAME|FILE.toml]")
@data_options
@click.option(
    "--out",
    "--output",
    "-o",
    "out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of stages, runs and results.  [default: studies/NAME]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes; each trains supernets of its own.",
)
@device_option
@json_option
def study(
    config: str,
    data: Path | None,
    cache: Path | None,
    classes: str | None,
    layout: str | None,
    out: Path | None,
    jobs: int,
    device: str,
    as_json: bool,
) -> None:
    """Compare ways of picking architectures.

    Methods x supernets x seeds x budgets from one file. Each stage is done once, whichever methods share it, and a
    study that was stopped goes on when it is started again. What it leaves: results.json, tables.md, figures,
    report.html.

    \b
    Examples:
      eas data && eas study emoji --jobs 2
      eas study mine.toml --data photos --out studies/mine
    """
    with training_packages():
        from eas_train.data.source import Source
        from eas_train.device import torch_device
        from eas_train.study.command import study as run
    target = out or Path("studies") / Path(config).stem
    source = Source(data, None, cache, classes, layout)
    figures = run(config, source, target, str(torch_device(device)), jobs=jobs, margin=MARGIN)
    if as_json:
        print_json({"folder": str(target), **figures})
        return
    with training_packages():
        from eas_train.study.report import costs, note, tables
    made = tables(figures)
    for title in ("Averages over budgets", "By budget"):
        columns, rows = made[title]
        print_table(title, [columns[0], f"{columns[1]}<", *columns[2:]], rows)
    print_table("Cost of one run", *costs(figures))
    click.echo(note(figures))
    click.echo(f"report: {target / 'report.html'}")
