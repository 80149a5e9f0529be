"""`eas check`: what a training would find in a folder of images. It needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import print_hint, print_json, print_table

if TYPE_CHECKING:
    from eas_train import Check

MOST_ROWS = 40
"""Of a table; of more classes or files the page and --json tell."""


@click.command()
@click.argument("data", type=click.Path(path_type=Path), metavar="DIR|FILE")
@click.option(
    "--out",
    "--output",
    "-o",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE.html",
    help="A page with all of it, and with photos as a network sees them in training; the data goes beside it, as "
    ".json.",
)
@json_option
def check(data: Path, out: Path | None, as_json: bool) -> None:
    """Check images of your own before a training.

    DIR|FILE is what `eas train --data` takes: class/ or superclass/class/ folders, perhaps below train/ and val/, or
    a .csv or .json that lists images. Every file is opened. It is told what was taken for what, which files cannot be
    read, which names were passed over, which classes have few images, and which images are there twice, also at another
    size or compressed again, in several splits or classes. The exit code is 1 where something would stop a training.
    What was looked at is remembered, and only looked at again where it changes.

    \b
    Example:
      eas check my_photos
      eas check my_photos -o check.html
    """
    import eas_train

    found = eas_train.check(data, page=out)
    if as_json:
        print_json(found.as_json())
    else:
        print_check(found)
    if not found.ok:
        raise click.exceptions.Exit(1)


def print_check(found: Check) -> None:
    """Tables and sentences of a check."""
    from eas_train.before.check import by_class

    print_hint(f"{found.path}: {found}")
    classes = list(found.classes)
    title = "Images"
    if len(classes) > MOST_ROWS:
        classes = sorted(classes, key=lambda each: each.trained)[:MOST_ROWS]
        title = f"Images of the {MOST_ROWS} classes that have the fewest"
    if classes:
        columns, rows = by_class(found, classes)
        print_table(title, [columns[0], f"{columns[1]}<", *columns[2:]], rows)
    if found.unreadable:
        rows = [[each.file, each.reason] for each in found.unreadable[:MOST_ROWS]]
        more = len(found.unreadable) - len(rows)
        print_table("Cannot be read" + (f" (and {more} more)" if more else ""), ["file", "why<"], rows)
    for text in found.warnings:
        print_hint(f"note: {text}")
    for text in found.problems:
        print_hint(f"stops a training: {text}")
    if found.ok:
        print_hint("nothing here stops a training")
