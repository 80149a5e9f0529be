"""On how many threads a training computes: as many as there are cores that nobody else uses.

Every operation of a network waits for the last of its threads. One that shares its core with another process waits for
its turn, a few milliseconds, where the operation itself takes less than one: a thread for every core of a machine that
is busy is many times slower than a single one. What the machine is doing is known without a measurement of ours.
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
        threads: how many. By default what an environment variable of `SET_BY` says; or else `before`; or else
            `free_cores`.
        before: how many a training began with that goes on: sums over another number of parts are rounded otherwise.

    Raises:
        InputError: fewer than one.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads are a whole number from 1; got {threads}")
    was = torch.get_num_threads()
    chosen = threads or (was if any(map(os.environ.get, SET_BY)) else None)
    if chosen is None:
        free = free_cores(was)
        chosen = free if before is None else min(before, usable_cores(was))
        if chosen != free:
            logging.getLogger(__name__).info("threads: %d, as it began; cores that are free now: %d", chosen, free)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(was)


def usable_cores(most: int | None = None, root: Path = Path("/")) -> int:
    """Cores that this process may use: at most `most`, by its affinity, and by the quotas of its control groups.

    Args:
        most: by default what torch takes, which is one thread for each physical core.
        root: of the file system that says so.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(most or torch.get_num_threads(), affinity, *_quotas(root))))


def free_cores(most: int | None = None) -> int:
    """Cores of `usable_cores` that nobody uses now, at least one."""
    return max(1, min(usable_cores(most), (os.cpu_count() or 1) - round(_busy_cores())))


def _busy_cores() -> float:
    """Cores that were used over the last minute, and are now: neither what has just ended counts, nor what has just
    begun and may be over in a moment."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows
        return 0.0
    return min(load, _running()) if round(load) else load


def _running() -> float:
    """Threads of other processes that run now or wait for a core; without bound where the system does not say."""
    seen = []
    try:
        for _ in range(LOOKS):
            time.sleep(PAUSE_S)
            seen.append(int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1)
    except (OSError, ValueError, IndexError):
        return math.inf
    return statistics.median(seen)


def _quotas(root: Path) -> Iterator[float]:
    """Cores that the control groups which this process is in grant it, of both versions."""
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
