"""Where this machine's tables are found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from bundles import SPACE
from latency.tables import CONDITIONS, random_table

from eas_sdk.device.processor import processor
from eas_sdk.errors import TableError
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.store import find, find_fastest, table_path
from eas_sdk.latency.table import LatencyTable, write


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
    assert find_fastest(SPACE, 1).conditions == fast.conditions
    assert find_fastest(SPACE, 1).timings == fast.timings
    store("litert", 1, seed=3, scale=4.0)
    assert find_fastest(SPACE, 1).conditions.engine == "onnxruntime"


def test_tables_that_do_not_fit_are_passed_over() -> None:
    store("onnxruntime", scale=0.1, other={"soc": "Another processor"})
    lacking = dataclasses.replace(random_table(SPACE, 0, conditions("litert", 1)), timings={"a": Timing(0.1, 0.0, 1)})
    write(lacking, table_path("litert", 1))
    with pytest.raises(TableError, match="eas lut build --engine numpy"):
        find_fastest(SPACE, 1)
    store("numpy", scale=9.0)
    assert find_fastest(SPACE, 1).conditions.engine == "numpy"
    with pytest.raises(TableError, match="--threads 2"):
        find_fastest(SPACE, 2)


def test_conditions_are_those_of_this_machine_now() -> None:
    found = conditions("numpy", 3)
    assert found == conditions("numpy", 3)
    assert (found.engine, found.threads, found.precision) == ("numpy", 3, "float32")
    assert found.soc == processor() != ""
    assert found.runtime_version.startswith("numpy ")
    assert conditions("absent", 1).runtime_version == "unknown"
    assert found != CONDITIONS
