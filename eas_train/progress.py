"""One progress bar with an ETA for everything that takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections import deque
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

RECENT = 20
"""Lines of a log over which the pace is taken that the time left is told by: what comes first may be slower."""

RECENT_S = 600.0
"""The same for a bar, in seconds; one step may take a minute."""


@contextmanager
def progress(
    title: str,
    total: int,
    start: int = 0,
    every_s: float = 30.0,
    *,
    shown: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[int, str], None]]:
    """A context that yields `update(done, note)`.

    On a terminal it draws a bar; elsewhere (a log file) it prints a line at most every `every_s` seconds of `clock`.
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
        with Progress(*columns, console=console, speed_estimate_period=RECENT_S) as bar:
            task = bar.add_task(title, total=total, completed=start, note="")
            yield lambda done, note: bar.update(task, completed=done, note=note)
        return
    told = deque([(clock(), start)], maxlen=RECENT)

    def line(done: int, note: str) -> None:
        now = clock()
        if now - told[-1][0] < every_s and done < total:
            return
        since, before = told[0]
        told.append((now, done))
        left = f", {duration((now - since) / (done - before) * (total - done))} left" if before < done < total else ""
        print(f"{title}: {done}/{total}{left} {note}".rstrip(), file=sys.stderr, flush=True)

    yield line


def duration(seconds: float) -> str:
    """Seconds for people, in the two largest units: '45 s', '12 min', '1 h 56 min', '2 d 3 h'."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
