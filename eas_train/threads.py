"""On how many threads a training computes: as many as there are cores that nobody else uses.

Every operation of a network waits for the last of its threads. One that shares its core with another process waits for
its turn, a few milliseconds, where the operation itself takes less than one: a thread for every core of a machine that
is busy is many times slower than a single one. How busy it is the system knows, so that nothing has to be measured.
"""

from __future__ import annotations

import logging
import math
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import torch

from eas_sdk.errors import InputError

SET_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which people say it for everything."""
LOOKS, PAUSE_S = 5, 0.02
"""How often it is looked what runs, and the seconds between: what runs for a moment only does not count."""


@contextmanager
def computing_on(threads: int | None = None, before: int | None = None) -> Iterator[int]:
    """Have torch compute on a number of threads inside the `with`; yields the number.

    Args:
        threads: how many. By default what a variable of `SET_BY` says; or else `before`; or else as many as there are
            free cores, but no more than torch takes by itself.
        before: how many a training began with that goes on: sums over another number of parts are rounded otherwise.

    Raises:
        InputError: fewer than one.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads are a whole number from 1; got {threads}")
    was = torch.get_num_threads()
    chosen = threads or (was if any(map(os.environ.get, SET_BY)) else None)
    if chosen is None:
        usable = min(was, usable_cores())
        free = free_cores(usable, os.cpu_count() or 1, *_load())
        chosen = free if before is None else min(before, usable)
        if chosen != free:
            logging.getLogger(__name__).info("threads: %d, as it began; cores that are free now: %d", chosen, free)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(was)


def free_cores(usable: int, cores: int, load: float, running: float) -> int:
    """How many of the `usable` ones of a machine's cores nobody uses, at least one.

    Args:
        load: cores that were wanted over the last minute; running: that are wanted now. The less counts: neither what
            has just ended nor what has just begun, and may be over in a moment, is there to stay.
    """
    return max(1, min(usable, cores - round(min(load, running))))


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: by its affinity, and by the quotas of the control groups that it is in.

    Args:
        root: of the file system that says so.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([affinity, *_quotas(root)])))


def _load() -> tuple[float, float]:
    """The load and the running threads of other processes (see `free_cores`), as far as the system says them."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows
        return 0.0, 0.0
    seen = []
    try:
        for _ in range(LOOKS):
            time.sleep(PAUSE_S)
            seen.append(int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1)
    except (OSError, ValueError, IndexError):  # macOS
        return load, math.inf
    return load, statistics.median(seen)


def _quotas(root: Path) -> Iterator[float]:
    """In cores, of control groups of both versions."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
            for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
                with suppress(OSError, ValueError):  # of the other version, or "max"
                    quota, period = (int(n) for f in files for n in (top / f".{folder}" / f).read_text().split())
                    if quota > 0:
                        yield quota / period
