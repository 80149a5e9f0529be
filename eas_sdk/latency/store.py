"""The latency tables of this machine: where `eas lut build` leaves them and the runtime finds them.

Where there is none for a bundle's networks, the machine is measured quickly (see `quick.py`). Such tables lie in files
of their own: one that was measured with care is preferred, and building it removes them.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eas_sdk.cache import cache_folder
from eas_sdk.engine.registry import ENGINES, load_engine
from eas_sdk.errors import MissingDependency, TableError
from eas_sdk.graph.nodes import Node
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.local import LocalMeter, conditions
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.quick import SECONDS, quick_table
from eas_sdk.latency.segments import Segment, key, segments
from eas_sdk.latency.table import LatencyTable, command, differences, read, write
from eas_sdk.processes import Lock
from eas_sdk.space.protocol import Space

CLASSIFIERS = (2, 512)
"""Numbers of classes that a quick table has classifiers for; others lie on the line through them."""

QUICK_RUNS, QUICK_TIME_S = 3, 0.03
"""Of one network, at least."""

logger = logging.getLogger("eas_sdk")

_lock = Lock()
_measured: dict[Path, LatencyTable] = {}
"""Quick tables of this process: not every cache folder can be written."""


@dataclass(frozen=True, eq=False)
class Networks:
    """What a table has to hold.

    Attributes:
        space: of the networks.
        router: the nodes of the router behind which they stand; may be none.
    """

    space: Space
    router: Sequence[Node] = ()

    @functools.cached_property
    def parts(self) -> list[Segment]:
        """All their segments."""
        return [*space_segments(self.space, CLASSIFIERS), *segments(self.router)]

    @functools.cached_property
    def digest(self) -> str:
        """Short, and of no other networks."""
        return hashlib.sha256("\n".join(sorted(map(key, self.parts))).encode()).hexdigest()[:12]


def table_path(engine: str, threads: int) -> Path:
    """The file of an engine's table."""
    return cache_folder() / "latency" / f"{engine}-{threads}.json"


def quick_path(networks: Networks, engine: str, threads: int) -> Path:
    """The file of its quick table of some networks."""
    return table_path(engine, threads).with_name(f"{engine}-{threads}-quick-{networks.digest}.json")


def own_table(networks: Networks, engine: str, threads: int) -> LatencyTable:
    """This machine's table: the one measured with care where it holds the networks, else a quick one, measured now if
    there is none. That is logged, as a warning of the logger "eas_sdk". For the engine "auto", see `_fastest`.

    Raises:
        TableError: the one measured with care cannot be read, or is of another machine or version.
        InputError, MissingDependency: see `LocalMeter`.
    """
    if engine == "auto":
        return _fastest(networks, threads)
    return _careful(networks, engine, threads) or _quick(networks, engine, threads, SECONDS)


def find(engine: str, threads: int) -> LatencyTable:
    """This machine's table for an engine and a number of threads, as `eas lut build` measured it.

    Raises:
        TableError: there is none, it cannot be read, or it was measured on another machine or version.
    """
    path, here = table_path(engine, threads), conditions(engine, threads)
    try:
        status = path.stat()
    except OSError:
        raise TableError(
            f"this machine has no latency table for the engine {engine!r} and {_threads(threads)}: measure one with "
            f"`{command(here)}`, and --bundle for a bundle of your own"
        ) from None
    table = _read(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    if differing := differences(table.conditions, here):
        raise TableError(
            f"a latency table holds for the machine and versions it was measured on; {path} has "
            f"{differing}: measure again with `{command(here)} --fresh`"
        )
    return table


def remove_quick(engine: str, threads: int) -> None:
    """Remove what a table that was measured with care stands in for."""
    for path in table_path(engine, threads).parent.glob(f"{engine}-{threads}-quick-*.json"):
        path.unlink(missing_ok=True)


def _careful(networks: Networks, engine: str, threads: int) -> LatencyTable | None:
    """What `find` finds; None where there is none, or it was measured for other networks."""
    if not table_path(engine, threads).is_file():
        return None
    table = find(engine, threads)
    with suppress(TableError):
        choice_table(networks.space, table, CLASSIFIERS[0])
        return table
    return None


def _fastest(networks: Networks, threads: int) -> LatencyTable:
    """Of this machine's tables, the one under which the largest network is fastest; a quick one only where none was
    measured with care, then of all engines that are installed.
    """
    names = [name for name in ENGINES if name != "auto"]
    careful, refused = [], []
    for name in names:
        try:
            careful.append(_careful(networks, name, threads))
        except TableError as error:
            refused.append(error)
    found = [table for table in careful if table is not None]
    if not found and refused:
        raise refused[0]
    if not found:
        installed = [name for name in names if _installed(name)]
        found = [_quick(networks, name, threads, SECONDS / len(installed)) for name in installed]
    largest = networks.space.structure(networks.space.largest, CLASSIFIERS[0])
    return min(found, key=lambda table: table.latency_ms(largest))


def _quick(networks: Networks, engine: str, threads: int, seconds: float) -> LatencyTable:
    path, here = quick_path(networks, engine, threads), conditions(engine, threads)
    with _lock:  # two measurements at once would disturb each other
        known = _measured.get(path) or _recall(path)
        if known is None or known.conditions != here:
            meter = LocalMeter(engine, threads, QUICK_TIME_S, least_runs=QUICK_RUNS, warm_up=1)
            made = quick_table(meter.times_ms, here, networks.space, networks.parts, seconds)
            known = made.table
            logger.warning(
                "measured this machine quickly for budgets in time: the engine %r, %s, %d networks, typically %.0f%% "
                "off; `%s`, and --bundle for a bundle of your own, measures with care",
                *(engine, _threads(threads), made.networks, 100 * made.error, command(here)),
            )
            with suppress(OSError, RuntimeError):
                path.parent.mkdir(parents=True, exist_ok=True)
                write(known, path)
        elif path not in _measured:
            logger.info("times are by a quick table of this machine; `%s` measures with care", command(here))
        _measured[path] = known
        return known


def _recall(path: Path) -> LatencyTable | None:
    """The quick table of a file; None where there is none, or nonsense."""
    with suppress(OSError, TableError):
        found = read(path)
        return found if found.quick else None
    return None


def _installed(engine: str) -> bool:
    try:
        load_engine(engine)
    except MissingDependency:
        return False
    return True


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


@functools.lru_cache(maxsize=8)
def _read(path: Path, version: tuple[int, ...]) -> LatencyTable:
    """The table of a file, read once for a version of it."""
    return read(path)
