"""The latency tables of this machine: where `eas lut build` leaves them and the runtime finds them."""

from __future__ import annotations

import functools
from pathlib import Path

from eas_sdk.cache import cache_folder
from eas_sdk.engine.registry import ENGINES
from eas_sdk.errors import TableError
from eas_sdk.latency.local import conditions
from eas_sdk.latency.table import LatencyTable, command, differences, read
from eas_sdk.space.protocol import Space


def table_path(engine: str, threads: int) -> Path:
    """The file of an engine's table."""
    return cache_folder() / "latency" / f"{engine}-{threads}.json"


def find(engine: str, threads: int) -> LatencyTable:
    """This machine's table for an engine and a number of threads.

    Raises:
        TableError: there is none, it cannot be read, or it was measured on another machine or version.
    """
    path, here = table_path(engine, threads), conditions(engine, threads)
    try:
        status = path.stat()
    except OSError:
        raise TableError(
            f"a budget in time or energy needs a latency table, and this machine has none for the engine {engine!r} "
            f"and {threads} thread{'s' * (threads != 1)}: measure one with `{command(here)}`, and --bundle "
            "for a bundle of your own, or load the runtime with one"
        ) from None
    table = _read(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    if differing := differences(table.conditions, here):
        raise TableError(
            f"a latency table holds for the machine and versions it was measured on; {path} has "
            f"{differing}: measure again with `{command(here)} --fresh`"
        )
    return table


def find_fastest(space: Space, threads: int) -> LatencyTable:
    """Of this machine's tables for a number of threads, the one under which the largest network is fastest.

    Raises:
        TableError: there is none that holds the space.
    """
    found: list[tuple[float, LatencyTable]] = []
    reasons = []
    for engine in ENGINES:
        try:
            table = find(engine, threads)
            found.append((table.latency_ms(space.structure(space.largest, 2)), table))
        except TableError as error:
            reasons.append(str(error))
    if not found:
        raise TableError(reasons[0])
    return min(found, key=lambda pair: pair[0])[1]


@functools.lru_cache(maxsize=8)
def _read(path: Path, version: tuple[int, ...]) -> LatencyTable:
    """The table of a file, read once for a version of it."""
    return read(path)
