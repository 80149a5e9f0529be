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
)

RECENT = 20
"""Reports over which the pace is taken that the time left is told by: what comes first may be slower."""
EVERY_S = 30.0
"""Between two of them."""


class _Pace:
    """How fast a thing goes of late."""

    def __init__(self, start: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told = deque([(clock(), start)], maxlen=RECENT)

    @property
    def since_s(self) -> float:
        """Since the last report."""
        return self._clock() - self._told[-1][0]

    def report(self, done: float) -> None:
        self._told.append((self._clock(), done))

    def left(self, done: float, total: float) -> str:
        """The time left in words; "" where nothing is known of it."""
        since, before = self._told[0]
        if not before < done < total:
            return ""
        return f"{duration((self._clock() - since) / (done - before) * (total - done))} left"


@contextmanager
def progress(
    title: str,
    total: int,
    start: int = 0,
    every_s: float = EVERY_S,
    *,
    shown: bool = True,
    clock: Callable[[], float] = time.monotonic,
    effort: Callable[[int], float] = float,
) -> Iterator[Callable[[int, str], None]]:
    """A context that yields `update(done, note)`.

    On a terminal it draws a bar; elsewhere (a log file) it prints a line at most every `every_s` seconds of `clock`.
    Both go to standard error, so that standard output stays clean for results. Neither is done unless `shown`.

    Args:
        effort: what the first so many of `total` take, in any unit: where some take longer than others, the time left
            is told by it.
    """
    if not shown:
        yield lambda done, note: None
        return
    console, pace = Console(stderr=True), _Pace(effort(start), clock)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]} {task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total, completed=start, note="", left="")

            def draw(done: int, note: str) -> None:
                bar.update(task, completed=done, note=note, left=pace.left(effort(done), effort(total)))
                if pace.since_s >= every_s:
                    pace.report(effort(done))

            yield draw
        return

    def line(done: int, note: str) -> None:
        if pace.since_s < every_s and done < total:
            return
        left = pace.left(effort(done), effort(total))
        pace.report(effort(done))
        print(f"{title}: {done}/{total}{', ' if left else ''}{left} {note}".rstrip(), file=sys.stderr, flush=True)

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
