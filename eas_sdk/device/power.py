"""Power tables: what the cores of a device draw, and what that makes of a latency in energy."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from eas_sdk.device.forms import check_schema, is_name, is_number, is_tuple_of, members, read_json, require, write_json
from eas_sdk.errors import InputError, closest

SCHEMA, VERSION = "eas_sdk power table", 1

MAX_CORES = 1024
MAX_MW = 1e7
MAX_MS = 1e12
MIN_LOAD = 0.001


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind.

    Attributes:
        name: such as "big".
        cores: how many.
        idle_mw: power of the whole cluster while it is awake and all its cores rest, in mW.
        active_mw: (load, power) of one core beyond that, in mW; loads ascend from 0.001 or more to 1.0.
    """

    name: str
    cores: int
    idle_mw: float
    active_mw: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        require(is_name(self.name), "the name of a cluster is a short text", self.name)
        whose = f"cluster {self.name!r}"
        cores_fit = type(self.cores) is int and 1 <= self.cores <= MAX_CORES
        require(cores_fit, f"cores of {whose} is an integer from 1 to {MAX_CORES}", self.cores)
        idle_fits = is_number(self.idle_mw, 0, MAX_MW)
        require(idle_fits, f"idle_mw of {whose} is a number from 0 to {MAX_MW:g}", self.idle_mw)
        rule = f"active_mw of {whose} is a tuple of (load, mW)"
        require(is_tuple_of(self.active_mw, tuple, 1), rule, self.active_mw)
        for point in self.active_mw:
            require(len(point) == 2, rule, point)
            load, mw = point
            require(is_number(load, MIN_LOAD, 1), f"a load of {whose} is a number from {MIN_LOAD} to 1", load)
            require(is_number(mw, 0, MAX_MW), f"the power of {whose} is a number of mW from 0 to {MAX_MW:g}", mw)
        loads = [load for load, _ in self.active_mw]
        ascend = all(low < high for low, high in itertools.pairwise(loads)) and loads[-1] == 1
        require(ascend, f"loads of {whose} ascend and end in 1.0", loads)

    def core_mw(self, load: float = 1.0) -> float:
        """Power of one core that is busy for a share `load` of the time, in mW, by linear interpolation from (0, 0).

        Raises:
            InputError: `load` is no share.
        """
        require(is_number(load, 0, 1), "load is a share from 0 to 1", load, InputError)
        loads, powers = zip((0.0, 0.0), *self.active_mw, strict=True)
        return float(np.interp(load, loads, powers))

    def to_json(self) -> dict[str, Any]:
        points = [list(point) for point in self.active_mw]
        return {"name": self.name, "cores": self.cores, "idle_mw": self.idle_mw, "active_mw": points}

    @classmethod
    def from_json(cls, data: object) -> Cluster:
        """Raises TableError."""
        found = members(data, "a cluster", ("name", "cores", "idle_mw", "active_mw"))
        points = found["active_mw"]
        whole = isinstance(points, list) and all(isinstance(point, list) for point in points)
        require(whole, "active_mw of a cluster is a list of [load, mW]", points)
        return cls(found["name"], found["cores"], found["idle_mw"], tuple(tuple(point) for point in points))


@dataclass(frozen=True)
class PowerTable:
    """What the cores of a device draw.

    Attributes:
        name: of the device.
        is_default: whether these are assumed numbers, not measured ones.
        clusters: in the order in which work fills them.
    """

    name: str
    is_default: bool
    clusters: tuple[Cluster, ...]

    def __post_init__(self) -> None:
        require(is_name(self.name), "the name of a power table is a short text", self.name)
        require(type(self.is_default) is bool, "is_default is true or false", self.is_default)
        rule = "clusters are a tuple of at least one Cluster"
        require(is_tuple_of(self.clusters, Cluster, 1), rule, self.clusters)
        names = [cluster.name for cluster in self.clusters]
        require(len(set(names)) == len(names), "clusters have different names", names)

    def milliwatts(self, threads: int, cluster: str | None = None, *, load: float = 1.0) -> float:
        """Mean power while `threads` cores are busy, in mW: their own, and the idle power of each cluster they wake.

        Threads beyond the cores of the cluster go to the next one, after the last to the first; threads beyond all
        cores share them and draw nothing more.

        Args:
            threads: at least 1.
            cluster: name of the one that is filled first; the table's first by default.
            load: share of the time in which each of these cores is busy, such as 0.3 for 9 ms every 30 ms.

        Raises:
            InputError: an argument that is not allowed.
        """
        threads_fit = is_number(threads, 1, math.inf) and isinstance(threads, int)
        require(threads_fit, "threads is an integer of at least 1", threads, InputError)
        names = [c.name for c in self.clusters]
        if cluster is not None and cluster not in names:
            raise InputError(f"cluster is one of {', '.join(names)}; got {cluster!r} ({closest(cluster, names)})")
        first = 0 if cluster is None else names.index(cluster)
        total, left = 0.0, threads
        for each in (*self.clusters[first:], *self.clusters[:first]):
            if left > 0:
                busy = min(left, each.cores)
                total += each.idle_mw + busy * each.core_mw(load)
                left -= busy
        return total

    def energy_mj(self, latency_ms: float, threads: int, cluster: str | None = None) -> float:
        """Energy of `threads` cores that are busy for `latency_ms`, in mJ (1 mW for 1 ms is 1 µJ).

        Raises:
            InputError: an argument that is not allowed.
        """
        rule = f"latency_ms is a number from 0 to {MAX_MS:g}"
        require(is_number(latency_ms, 0, MAX_MS), rule, latency_ms, InputError)
        return self.milliwatts(threads, cluster) * latency_ms / 1000

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; `from_json` reads it."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "is_default": self.is_default,
            "clusters": [cluster.to_json() for cluster in self.clusters],
        }

    @classmethod
    def from_json(cls, data: object) -> PowerTable:
        """The table that `to_json` gave.

        Raises:
            TableError: of another version, or with a member that is missing, unknown or not allowed.
        """
        names = ("schema", "version", "name", "is_default", "clusters")
        found = members(data, "a power table", names)
        check_schema(found, SCHEMA, VERSION)
        require(isinstance(found["clusters"], list), "clusters of a power table are a list", found["clusters"])
        return cls(found["name"], found["is_default"], tuple(Cluster.from_json(c) for c in found["clusters"]))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> PowerTable:
        """Raises OSError, or TableError where the file is no power table of this version."""
        return cls.from_json(read_json(path, "a power table"))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON, whole or not at all. Raises OSError."""
        write_json(path, self.to_json())


DEFAULT = PowerTable(
    "generic phone",
    True,
    (
        Cluster("big", 4, 50.0, ((0.25, 120.0), (0.5, 320.0), (1.0, 1000.0))),
        Cluster("little", 4, 20.0, ((0.25, 25.0), (0.5, 60.0), (1.0, 150.0))),
    ),
)
"""A phone with big and little cores, in round numbers of the right magnitude. NOT measured: good for comparing
networks, not for predicting a battery's life. To replace it, write it to a file (`eas device --write-power FILE`), put
in the numbers of your device (with the screen on and the phone unplugged, read the battery's voltage and current while
1, 2, ... cores work, and subtract what it draws at rest), set is_default to false, and read it by `PowerTable.read`."""
