"""One progress bar with an ETA for everything that takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def progress(
    title: str, total: int, start: int = 0, every_s: float = 30.0, *, shown: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """A context that yields `update(done, note)`.

    On a terminal it draws a bar; elsewhere (a log file) it prints a line at most every `every_s` seconds.
    Both go to standard error, so that standard output stays clean for results. Neither is done unless `shown`.
    """
    if not shown:
        yield lambda done, note: None
        return
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=start, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)
        return
    began = told = time.monotonic()

    def line(done: int, note: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < every_s and done < total:
            return
        told = now
        remaining = (now - began) / max(done - start, 1) * (total - done)
        print(f"{title}: {done}/{total}, {remaining:.0f} s left {note}".rstrip(), file=sys.stderr, flush=True)

    yield line
