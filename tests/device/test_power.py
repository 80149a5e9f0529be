"""Power tables: what cores draw, and energy from latency."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.device.power import DEFAULT, MIN_LOAD, Cluster, PowerTable
from eas_sdk.errors import InputError, TableError

BIG = Cluster("big", 2, 50.0, ((0.5, 300.0), (1.0, 1000.0)))
LITTLE = Cluster("little", 4, 20.0, ((1.0, 100.0),))
TABLE = PowerTable("phone", False, (BIG, LITTLE))

NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
MILLIWATTS = st.floats(0, 1e5) | st.integers(0, 10**5)


@st.composite
def clusters(draw: st.DrawFn, name: str) -> Cluster:
    loads = [*sorted(draw(st.sets(st.floats(MIN_LOAD, 1, exclude_max=True), max_size=4))), 1.0]
    points = tuple((load, draw(MILLIWATTS)) for load in loads)
    return Cluster(name, draw(st.integers(1, 12)), draw(MILLIWATTS), points)


@st.composite
def tables(draw: st.DrawFn) -> PowerTable:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return PowerTable(draw(NAMES), draw(st.booleans()), tuple(draw(clusters(name)) for name in names))


@pytest.mark.parametrize(
    ("threads", "cluster", "milliwatts"),
    [
        (1, None, 50 + 1000),
        (1, "big", 50 + 1000),
        (2, "big", 50 + 2000),
        (3, "big", 50 + 2000 + 20 + 100),  # one more than there are big cores
        (6, "big", 50 + 2000 + 20 + 400),
        (99, "big", 50 + 2000 + 20 + 400),  # no core is left
        (1, "little", 20 + 100),
        (4, "little", 20 + 400),
        (5, "little", 20 + 400 + 50 + 1000),  # after the last cluster comes the first
    ],
)
def test_power_of_busy_threads(threads: int, cluster: str | None, milliwatts: float) -> None:
    assert TABLE.milliwatts(threads, cluster) == pytest.approx(milliwatts)


@pytest.mark.parametrize(
    ("load", "milliwatts"), [(0.0, 0), (0.25, 150), (0.5, 300), (0.75, 650), (1.0, 1000), (1, 1000)]
)
def test_power_in_part_time_lies_between_the_points(load: float, milliwatts: float) -> None:
    assert BIG.core_mw(load) == pytest.approx(milliwatts)
    assert TABLE.milliwatts(2, load=load) == pytest.approx(50 + 2 * milliwatts)


def test_energy_is_power_times_time() -> None:
    assert TABLE.energy_mj(10.0, 1) == pytest.approx(10.5)  # 1050 mW for 10 ms
    assert TABLE.energy_mj(1000.0, 1, "little") == pytest.approx(120.0)  # 120 mW for 1 s
    assert TABLE.energy_mj(0.0, 1) == 0


@given(tables(), st.integers(1, 60), st.floats(0, 1e4))
def test_more_threads_and_more_time_never_cost_less(table: PowerTable, threads: int, latency_ms: float) -> None:
    fewer, more = (table.energy_mj(latency_ms, count) for count in (threads, threads + 1))
    assert 0 <= fewer <= more * (1 + 1e-12)
    assert table.energy_mj(2 * latency_ms, threads) == pytest.approx(2 * fewer)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: TABLE.milliwatts(0), "threads is an integer of at least 1; got 0"),
        (lambda: TABLE.milliwatts(-1), "threads"),
        (lambda: TABLE.milliwatts(1.5), "threads"),
        (lambda: TABLE.milliwatts(True), "threads"),
        (lambda: TABLE.milliwatts(1, "litle"), r"big, little; got 'litle' \(did you mean 'little'"),
        (lambda: TABLE.milliwatts(1, 0), "cluster is one of"),
        (lambda: TABLE.milliwatts(1, load=1.5), "load is a share from 0 to 1; got 1.5"),
        (lambda: TABLE.milliwatts(1, load=math.nan), "load"),
        *[(lambda ms=ms: TABLE.energy_mj(ms, 1), "latency_ms") for ms in (-1, math.nan, math.inf, "1", None, True)],
    ],
)
def test_a_wrong_question_is_refused(call: Callable[[], float], part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()


def test_the_default_says_that_it_is_one() -> None:
    assert DEFAULT.is_default
    big, little = (DEFAULT.milliwatts(1, cluster) for cluster in ("big", "little"))
    assert big > little


@given(tables())
def test_a_table_survives_json(table: PowerTable) -> None:
    assert PowerTable.from_json(json.loads(json.dumps(table.to_json(), allow_nan=False))) == table


def test_a_table_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "power.json"
    DEFAULT.write(path)
    assert PowerTable.read(path) == DEFAULT
    TABLE.write(path)
    assert PowerTable.read(path) == TABLE
    assert [file.name for file in tmp_path.iterdir()] == ["power.json"]


def changed(**members: object) -> dict[str, Any]:
    """TABLE in JSON, with members of the table or (beginning with c_) of its first cluster replaced; None removes."""
    data = json.loads(json.dumps(TABLE.to_json()))
    for name, value in members.items():
        place = data["clusters"][0] if name.startswith("c_") else data
        if value is None:
            del place[name.removeprefix("c_")]
        else:
            place[name.removeprefix("c_")] = value
    return data


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (None, "a power table is an object"),
        ([TABLE.to_json()], "a power table is an object"),
        (changed(schema="eas_sdk policy"), "'eas_sdk power table' and version 1; got .'eas_sdk policy'"),
        (changed(version=2), "version 1; got .*2"),
        (changed(version=True), "version 1"),
        (changed(version=None), "'version' is missing"),
        (changed(clusterz=[]), r"'clusterz' \(did you mean 'clusters'"),
        (changed(name=""), "name of a power table"),
        (changed(name="a\x1b[2J"), "name of a power table"),
        (changed(is_default=1), "is_default is true or false; got 1"),
        (changed(clusters=[]), "at least one Cluster"),
        (changed(clusters={}), "a list; got {}"),
        (changed(clusters=[TABLE.to_json()["clusters"][1]] * 2), "different names"),
        (changed(clusters=[1]), "a cluster is an object"),
        (changed(c_cores=None), "'cores' is missing"),
        (changed(c_idle_w=1), r"'idle_w' \(did you mean 'idle_mw'"),
        (changed(c_name=3), "name of a cluster"),
        (changed(c_cores=0), "cores of cluster 'big' is an integer from 1 to 1024; got 0"),
        (changed(c_cores=2.0), "cores"),
        (changed(c_cores=True), "cores"),
        (changed(c_idle_mw=-1), "idle_mw of cluster 'big' is a number from 0"),
        (changed(c_idle_mw=math.nan), "idle_mw"),
        (changed(c_idle_mw="50"), "idle_mw"),
        (changed(c_active_mw=[]), "active_mw"),
        (changed(c_active_mw=5), "active_mw"),
        (changed(c_active_mw=[1.0, 5]), "active_mw"),
        (changed(c_active_mw=[[1.0]]), "active_mw"),
        (changed(c_active_mw=[[0.0, 1], [1.0, 5]]), "a load of cluster 'big' is a number from 0.001 to 1; got 0.0"),
        (changed(c_active_mw=[[50, 1], [100, 5]]), "a load of cluster 'big' is a number from 0.001 to 1; got 50"),
        (changed(c_active_mw=[[1.0, -5]]), "mW from 0 to 1e.07; got -5"),
        (changed(c_active_mw=[[1.0, math.inf]]), "mW"),
        (changed(c_active_mw=[[0.5, 5]]), "ascend and end in 1.0"),
        (changed(c_active_mw=[[1.0, 5], [1.0, 6]]), "ascend"),
        (changed(c_active_mw=[[0.7, 5], [0.5, 6], [1.0, 7]]), "ascend"),
    ],
)
def test_what_is_no_table_is_refused(data: object, part: str) -> None:
    with pytest.raises(TableError, match=part) as caught:
        PowerTable.from_json(data)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": 1, "name": 2}',
        b"[" * 100_000,
    ],
    ids=["empty", "cut", "bytes", "nan", "twice", "deep"],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "power.json"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"power\.json"):
        PowerTable.read(path)


def test_a_file_that_is_absent_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PowerTable.read(tmp_path / "absent.json")


def test_a_file_of_a_megabyte_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "power.json"
    path.write_text(json.dumps(TABLE.to_json()) + " " * (1 << 20))
    with pytest.raises(TableError, match="at most 1048576 bytes"):
        PowerTable.read(path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "power.json"
    path.write_text(json.dumps(TABLE.to_json()), encoding="utf-8-sig")
    assert PowerTable.read(path) == TABLE
