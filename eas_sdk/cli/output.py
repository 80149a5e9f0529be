"""What commands print: tables for people, one JSON object for programs, a progress bar for those who wait."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from eas_sdk.budget import format_madds

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPE_WIDTH = 200
"""Columns of a table that goes to a file or a pipe."""

BY_SUPERCLASS = "test_top1_by_superclass"

PATIENCE_S = 2.0
"""What is done sooner needs no progress bar."""


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on standard output, in ASCII, with finite numbers."""
    click.echo(json.dumps(data, indent=2, allow_nan=False))


def print_error(text: str, file: IO[Any] | None = None) -> None:
    """One line on standard error, or on `file`."""
    line = " ".join(line.strip() for line in text.splitlines())
    click.echo(f"error: {printable(line)}", file=file, err=file is None)


def print_note(text: str) -> None:
    """A line on standard error that is no error."""
    click.echo(printable(text), err=True)


def print_hint(text: str) -> None:
    """A line below a table."""
    click.echo(printable(text))


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values, one pair a line."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, printable(value))
    _show(table)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A titled table. The first column, and others whose name ends in "<", are text; the rest are numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        left = index == 0 or name.endswith("<")
        table.add_column(name.rstrip("<"), justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    _show(Text(title, "bold"), table)


def accuracy_rows(section: object) -> list[dict[str, Any]]:
    """The accuracy figures of a bundle's training section, without rows that are not of the known form."""
    rows = section if isinstance(section, list) else []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get(BY_SUPERCLASS, {}), dict)]


def print_accuracy(rows: Sequence[Mapping[str, Any]]) -> None:
    """The accuracy figures of a training as a table, if there are any."""
    if not rows:
        return
    print_table(
        "Accuracy measured in training (top-1 within the task, and among all classes of the bundle; mean over tasks)",
        ["budget", "MAdds", "validation", "test", "test, all classes"],
        [
            [
                f"{percent(row.get('budget_fraction'))} of the range",
                madds(row.get("mean_madds")),
                percent(row.get("validation_top1")),
                percent(row.get("test_top1")),
                percent(row.get("test_top1_of_all")),
            ]
            for row in rows
        ],
    )


def printable(text: str) -> str:
    """`text` without control characters, which could rewrite the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def percent(value: object) -> str:
    """A share of one as "87.5%"; a dash where there is none."""
    return f"{100 * value:.1f}%" if isinstance(value, (int, float)) else "–"


def madds(value: object, *, up: bool = False) -> str:
    """Multiply-adds as "4.02M", perhaps rounded up; a dash where there are none."""
    return format_madds(int(value), up=up) if isinstance(value, (int, float)) else "–"


def size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def milliseconds(value: float) -> str:
    return f"{value:.2f} ms"


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A context that yields `advance()`, to be called `total` times.

    On a terminal a bar with the time that is left appears on standard error once two seconds have passed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(title, total=total)
    began, shown = time.monotonic(), False

    def advance() -> None:
        nonlocal shown
        bar.advance(task)
        if not shown and console.is_terminal and time.monotonic() - began > PATIENCE_S:
            bar.start()
            shown = True

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def _show(*parts: RenderableType) -> None:
    """Print tables and texts, without the spaces that fill a table's last column."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
