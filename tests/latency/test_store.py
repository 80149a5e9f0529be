"""Where this machine's tables are found."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bundles import SIZES, SPACE
from latency.tables import CONDITIONS, random_table

from eas_sdk.device.processor import processor
from eas_sdk.errors import InputError, TableError
from eas_sdk.latency import store as store_module
from eas_sdk.latency.check import random_networks
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.store import Networks, find, own_table, quick_path, remove_quick, table_path
from eas_sdk.latency.table import LatencyTable, read, write

NETWORKS = Networks(SPACE)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SECONDS", 0)


def store(
    engine: str = "numpy", threads: int = 1, seed: int = 0, scale: float = 1.0, other: dict | None = None
) -> LatencyTable:
    """Put a table where it is found; `other`: conditions that are not those of this machine."""
    measured = dataclasses.replace(conditions(engine, threads), **(other or {}))
    table = random_table(SPACE, seed, measured, scale)
    path = table_path(engine, threads)
    path.parent.mkdir(exist_ok=True)
    write(table, path)
    return table


@pytest.mark.parametrize(("engine", "threads"), [("numpy", 1), ("litert", 2)])
def test_the_table_of_an_engine_and_a_number_of_threads_is_found(engine: str, threads: int) -> None:
    table = store(engine, threads)
    store(engine, threads + 1, seed=1)
    found = find(engine, threads)
    assert found.timings == table.timings
    assert found.conditions == table.conditions
    assert find(engine, threads) is found, "an unchanged file is read once"


def test_tables_lie_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EAS_CACHE_DIR", str(tmp_path / "here"))
    assert table_path("numpy", 2) == tmp_path / "here" / "latency" / "numpy-2.json"


@pytest.mark.parametrize(
    ("engine", "threads", "told"),
    [
        ("numpy", 1, "'numpy' and 1 thread: measure one with `eas lut build --engine numpy`"),
        ("litert", 4, "'litert' and 4 threads: measure one with `eas lut build --engine litert --threads 4`"),
    ],
)
def test_a_missing_table_is_told_with_the_command(engine: str, threads: int, told: str) -> None:
    store("onnxruntime")
    with pytest.raises(TableError) as caught:
        find(engine, threads)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("device", "Another machine"), ("soc", "Another processor"), ("runtime_version", "numpy 0.1"), ("threads", 3)],
)
def test_a_table_of_another_machine_or_version_is_refused(field: str, value: object) -> None:
    store(threads=2, other={field: value})
    with pytest.raises(TableError) as caught:
        find("numpy", 2)
    for part in (f"{field} {value!r} instead of ", "`eas lut build --engine numpy --threads 2 --fresh`"):
        assert part in str(caught.value)


def test_a_file_that_changed_is_read_again() -> None:
    for seed in range(20):  # one after the other, faster than a file system's clock ticks
        table = store(seed=seed)
        assert find("numpy", 1).timings == table.timings


def test_a_file_that_is_no_table_is_told_by_name() -> None:
    store()
    table_path("numpy", 1).write_text("{}")
    with pytest.raises(TableError, match=r"numpy-1\.json"):
        find("numpy", 1)


def test_the_fastest_engine_is_that_of_the_fastest_largest_network() -> None:
    store("numpy", seed=3, scale=2.0)
    fast = store("litert", seed=3, scale=0.5)
    store("onnxruntime", seed=3, scale=1.0)
    assert own_table(NETWORKS, "auto", 1).conditions == fast.conditions
    assert own_table(NETWORKS, "auto", 1).timings == fast.timings
    store("litert", 1, seed=3, scale=4.0)
    assert own_table(NETWORKS, "auto", 1).conditions.engine == "onnxruntime"


def test_tables_that_do_not_fit_are_passed_over() -> None:
    store("onnxruntime", scale=0.1, other={"soc": "Another processor"})
    lacking = dataclasses.replace(random_table(SPACE, 0, conditions("litert", 1)), timings={"a": Timing(0.1, 0.0, 1)})
    write(lacking, table_path("litert", 1))
    with pytest.raises(TableError, match="eas lut build --engine onnxruntime --fresh"):
        own_table(NETWORKS, "auto", 1)
    store("numpy", scale=9.0)
    assert own_table(NETWORKS, "auto", 1).conditions.engine == "numpy"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged since the last look."""
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_where_there_is_none_this_machine_is_measured_quickly_and_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "eas_sdk")
    with ThreadPoolExecutor(4) as pool:
        found, *others = pool.map(lambda _: own_table(NETWORKS, "numpy", 1), range(4))
    assert all(other is found for other in others)
    assert found.quick
    assert found.conditions == conditions("numpy", 1)
    (line,) = told(caplog)
    assert "quickly" in line
    assert "`eas lut build --engine numpy`" in line
    for _, nodes in random_networks(SPACE, 5, 20, seed=0):
        assert found.latency_ms(nodes) > 0
    assert not table_path("numpy", 1).exists()
    forget()
    assert own_table(Networks(SPACE), "numpy", 1).timings == found.timings
    (line,) = told(caplog)
    assert "by a quick table" in line


def forget() -> None:
    """What another process does not know."""
    store_module._measured.clear()


def test_one_measured_with_care_is_preferred_to_a_quick_one_and_building_it_removes_that() -> None:
    own_table(NETWORKS, "numpy", 1)
    other = Networks(SPACE, SPACE.structure(SPACE.smallest, 3))
    own_table(other, "numpy", 1)
    careful = store()
    assert own_table(NETWORKS, "numpy", 1).timings == careful.timings
    beside = table_path("numpy", 1).with_name("numpy-1-quick.txt")
    beside.write_text("not ours")
    remove_quick("numpy", 1)
    assert sorted(path.name for path in beside.parent.iterdir()) == ["numpy-1-quick.txt", "numpy-1.json"]


@pytest.mark.parametrize("other", [{"soc": "Another processor"}, {"runtime_version": "numpy 0.1"}])
def test_a_quick_one_does_not_stand_in_for_one_that_was_measured_with_care_and_is_out_of_date(other: dict) -> None:
    own_table(NETWORKS, "numpy", 1)
    store(other=other)
    with pytest.raises(TableError, match="--fresh"):
        own_table(NETWORKS, "numpy", 1)


def test_one_measured_with_care_for_other_networks_says_nothing_of_these() -> None:
    store()
    assert own_table(Networks(SIZES), "numpy", 1).quick
    assert not own_table(NETWORKS, "numpy", 1).quick


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00", None], ids=["empty", "no table", "nonsense", "careful"])
def test_a_quick_file_that_is_no_quick_table_is_measured_again(content: bytes | None) -> None:
    path = quick_path(NETWORKS, "numpy", 1)
    path.parent.mkdir()
    if content is None:
        write(random_table(SPACE, 0, conditions("numpy", 1)), path)
    else:
        path.write_bytes(content)
    assert own_table(NETWORKS, "numpy", 1).quick
    assert read(path).quick


def test_a_quick_one_of_another_version_is_measured_again(caplog: pytest.LogCaptureFixture) -> None:
    found = own_table(NETWORKS, "numpy", 1)
    old = dataclasses.replace(found.conditions, runtime_version="numpy 0.1")
    write(dataclasses.replace(found, conditions=old), quick_path(NETWORKS, "numpy", 1))
    forget()
    assert own_table(NETWORKS, "numpy", 1).conditions == conditions("numpy", 1)
    assert read(quick_path(NETWORKS, "numpy", 1)).conditions == conditions("numpy", 1)


def test_a_cache_that_cannot_be_written_costs_one_measurement_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EAS_CACHE_DIR", str(tmp_path / "file"))
    found = own_table(NETWORKS, "numpy", 1)
    assert own_table(NETWORKS, "numpy", 1) is found
    assert len(told(caplog)) == 1


def test_the_engine_auto_is_measured_quickly_of_all_that_are_installed() -> None:
    found = own_table(NETWORKS, "auto", 1)
    largest = SPACE.structure(SPACE.largest, 2)
    made = [read(path) for path in table_path("numpy", 1).parent.iterdir()]
    assert "numpy" in {table.conditions.engine for table in made}
    assert found.latency_ms(largest) == min(table.latency_ms(largest) for table in made)


def test_an_engine_that_there_is_not_is_told_by_its_name() -> None:
    with pytest.raises(InputError, match=r"nunpy.*did you mean 'numpy'"):
        own_table(NETWORKS, "nunpy", 1)


def test_conditions_are_those_of_this_machine_now() -> None:
    found = conditions("numpy", 3)
    assert found == conditions("numpy", 3)
    assert (found.engine, found.threads, found.precision) == ("numpy", 3, "float32")
    assert found.soc == processor() != ""
    assert found.runtime_version.startswith("numpy ")
    assert conditions("absent", 1).runtime_version == "unknown"
    assert found != CONDITIONS
