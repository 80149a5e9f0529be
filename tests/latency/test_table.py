"""Latency tables as files and as predictions."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from bundles import SPACE
from hypothesis import given
from hypothesis import strategies as st
from latency.tables import CONDITIONS, random_table

from eas_sdk.errors import TableError
from eas_sdk.graph.nodes import Conv2d, Linear
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.segments import key, segments
from eas_sdk.latency.table import LatencyTable, command, differences, parse, read, write

MS = st.floats(0, 1e7)
COUNTS = st.integers(1, 10**6)
TABLES = st.builds(
    LatencyTable,
    st.builds(Conditions, *[st.text(max_size=8)] * 3, COUNTS, *[st.text(max_size=8)] * 4),
    st.dates().map(str),
    st.dictionaries(st.text(max_size=12), st.builds(Timing, MS, MS, COUNTS), max_size=4),
    st.floats(1e-3, 1e3),
)

SEGMENT = "4x4x8: conv 1x1 8>16"
DATA: dict[str, Any] = {
    "format": "eas-latency-table",
    "version": 1,
    "unit": "ms",
    "date": "2026-01-31",
    "scale": 1.25,
    "offset_ms": -0.1,
    "conditions": dataclasses.asdict(CONDITIONS),
    "segments": {SEGMENT: {"median_ms": 0.5, "spread_ms": 0.01, "count": 20}},
}


def changed(path: tuple[str, ...], value: object) -> bytes:
    """DATA as JSON with another value, or without one (...), at `path`."""
    data = copy.deepcopy(DATA)
    *way, last = path
    inner = data
    for name in way:
        inner = inner[name]
    inner[last] = value
    if value is ...:
        del inner[last]
    return json.dumps(data).encode()


def test_no_network_takes_no_time(tmp_path: Path) -> None:
    """An offset below zero, which a line through measured networks may have, could make it so."""
    low = random_table(SPACE, 3)
    write(dataclasses.replace(low, offset_ms=-1e7), tmp_path / "table.json")
    table = read(tmp_path / "table.json")
    for act in (
        lambda: table.latency_ms(SPACE.structure(SPACE.largest, 3)),
        lambda: choice_table(SPACE, table, 3),
        lambda: choice_table(SPACE, table, 3, 0.001),
    ):
        with pytest.raises(TableError, match=r"every network takes time; by the table of .* -1e\+07, one takes -"):
            act()
    least = low.latency_ms(SPACE.structure(SPACE.smallest, 3))
    assert dataclasses.replace(low, offset_ms=-0.99 * least).latency_ms(SPACE.structure(SPACE.smallest, 3)) > 0


@given(TABLES)
def test_a_table_survives_its_file(tmp_path_factory: pytest.TempPathFactory, table: LatencyTable) -> None:
    path = tmp_path_factory.mktemp("table") / "table.json"
    write(table, path)
    again = read(path)
    for field in dataclasses.fields(LatencyTable):
        assert getattr(again, field.name) == getattr(table, field.name)


def test_a_written_file_is_that_of_the_documented_form(tmp_path: Path) -> None:
    table = LatencyTable(CONDITIONS, "2026-01-31", {SEGMENT: Timing(0.5, 0.01, 20)}, 1.25, -0.1)
    write(table, tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_bytes()) == DATA | {"quick": False}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("format",), "eas_sdk policy", "'format' is 'eas-latency-table'"),
        (("format",), ..., "'format' is 'eas-latency-table'"),
        (("version",), 2, "'version' 1 .*got version 2"),
        (("version",), True, "'version' 1 .*got version True"),
        (("version",), 1.0, "'version' 1 .*got version 1.0"),
        (("unit",), "us", "'unit' 'ms'; got .* in 'us'"),
        (("unit",), ..., "'unit' 'ms'; got .* in None"),
        (("date",), 20260131, "a text 'date'"),
        (("conditions",), [], "'conditions'"),
        *((("quick",), v, "'quick' .* true or false; got") for v in (None, 1, "true")),
        (("segments",), None, "'segments'"),
        (("segments",), ..., "'segments'"),
        *((("offset_ms",), v, "'offset_ms' .* within ±1e") for v in (None, "1", True, 1e8, -1e8, ...)),
        *((("scale",), v, "'scale' .* from 0.001 to 1000; got") for v in (None, "1", True, 0, -1, 1e4, 9e-4, ...)),
        *(
            (("conditions", field.name), v, f"the condition '{field.name}'")
            for field in dataclasses.fields(Conditions)
            if field.name != "pause_ms"
            for v in (..., None, 0, 1.0, True, ["x"])
        ),
        *((("conditions", "pause_ms"), v, "the condition 'pause_ms'") for v in (None, "1", True, -1.0, 1e8)),
        (("conditions", "threads"), "1", "the condition 'threads' .* integer of at least 1; got '1'"),
        *(
            (("segments", SEGMENT, name), v, f"{name!r}.* '{SEGMENT}' has")
            for name in ("median_ms", "spread_ms")
            for v in (..., None, "1", True, -0.1, 1.1e7, [1])
        ),
        *((("segments", SEGMENT, "count"), v, f"'count' .* '{SEGMENT}' has") for v in (..., None, 0, -1, 1.0, True)),
        *((("segments", SEGMENT), v, f"'{SEGMENT}' has") for v in (None, 0.5, [], {})),
    ],
)
def test_a_malformed_member_is_named(path: tuple[str, ...], value: object, told: str) -> None:
    assert parse(json.dumps(DATA).encode()).timings[SEGMENT] == Timing(0.5, 0.01, 20)
    with pytest.raises(TableError, match=told):
        parse(changed(path, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PATHS = [
    *((name,) for name in DATA),
    *(("conditions", field.name) for field in dataclasses.fields(Conditions)),
    ("segments", SEGMENT),
    *(("segments", SEGMENT, name) for name in ("median_ms", "spread_ms", "count")),
]


def test_tables_of_earlier_releases_have_no_pauses() -> None:
    assert parse(changed(("conditions", "pause_ms"), ...)).conditions.pause_ms == 0
    paused = parse(changed(("conditions", "pause_ms"), 33)).conditions
    assert paused.pause_ms == 33
    assert command(paused).endswith("--pause 33")


@given(st.sampled_from(PATHS), JSON)
def test_whatever_a_member_is_a_table_is_read_or_refused(path: tuple[str, ...], value: object) -> None:
    try:
        table = parse(changed(path, value))
    except TableError:
        return
    assert 1e-3 <= table.scale <= 1e3
    assert table.conditions.threads >= 1
    for timing in table.timings.values():
        assert min(timing.median_ms, timing.spread_ms) >= 0
    for nodes in ((Linear("a", ("x",), 8, 3),), (Conv2d("a", ("x",), 4, 8, 9, 1, 1, 0, "none"),)):
        with pytest.raises(TableError):
            table.segment_ms(nodes)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"format": "eas-latency-table", "format": "eas-latency-table"}',
        changed(("scale",), float("nan")),
        changed(("scale",), 10**30),
        json.dumps(DATA).encode("utf-16"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"mine\.json: a latency table"):
        read(path)


@given(st.data())
def test_a_cut_file_is_refused(data: st.DataObject) -> None:
    content = json.dumps(DATA).encode()
    with pytest.raises(TableError, match="a latency table is JSON"):
        parse(content[: data.draw(st.integers(0, len(content) - 1))])


def test_an_absent_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.json")


def test_a_network_takes_the_scaled_sum_of_its_segments_and_an_offset() -> None:
    nodes = SPACE.structure(SPACE.largest, 8)
    table = dataclasses.replace(random_table(SPACE, 3, scale=1.5), offset_ms=-0.25)
    expected = -0.25 + 1.5 * sum(table.timings[key(part)].median_ms for part in segments(nodes))
    assert table.latency_ms(nodes) == pytest.approx(expected, rel=1e-12)
    assert table.lacks(segments(nodes)) == []


def without(table: LatencyTable, name: str) -> LatencyTable:
    return dataclasses.replace(table, timings={k: t for k, t in table.timings.items() if k != name})


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({}, "`eas lut build --engine numpy`"),
        ({"engine": "litert", "threads": 2}, "`eas lut build --engine litert --threads 2`"),
        (
            {"engine": "benchmark_model", "precision": "int8"},
            "`eas lut build --adb --benchmark-model FILE --precision int8 --output TABLE`",
        ),
    ],
)
def test_a_missing_segment_is_named_with_the_command_that_measures_it(conditions: dict[str, Any], told: str) -> None:
    nodes = SPACE.structure(SPACE.smallest, 8)
    table = random_table(SPACE, 0, dataclasses.replace(CONDITIONS, **conditions))
    for part in segments(nodes)[:-1]:
        with pytest.raises(TableError) as caught:
            without(table, key(part)).latency_ms(nodes)
        assert key(part) in str(caught.value)
        assert told in str(caught.value)
        assert without(table, key(part)).lacks([part, part, *segments(nodes)]) == [part]
    few = {k: t for k, t in table.timings.items() if "linear" not in k or k.endswith(">2")}
    with pytest.raises(TableError, match="classifiers of two sizes") as caught:
        dataclasses.replace(table, timings=few).latency_ms(nodes)
    assert told in str(caught.value)


@given(
    st.dictionaries(st.integers(1, 2000), st.floats(0, 10), min_size=2, max_size=5),
    st.lists(st.integers(1, 3000), min_size=2, max_size=6),
    st.floats(0.5, 2),
)
def test_classifiers_between_those_measured(measured: dict[int, float], asked: list[int], scale: float) -> None:
    ascending = dict(zip(sorted(measured), sorted(measured.values()), strict=True))

    def classifier(classes: int) -> tuple[Linear]:
        return (Linear("classifier", ("feature",), 16, classes),)

    timings = {key(classifier(n)): Timing(ms, 0.0, 20) for n, ms in ascending.items()}
    others = {
        "1x1x16: linear 16>x": 1.0,
        "1x1x16: linear 16>064": 2.0,
        "1x1x160: linear 160>7": 3.0,
        "2x2x16: mean": 4.0,
    }
    table = LatencyTable(CONDITIONS, "", timings | {k: Timing(ms, 0.0, 20) for k, ms in others.items()}, scale)
    for classes, ms in ascending.items():
        assert table.segment_ms(classifier(classes)) == scale * ms
    found = [table.segment_ms(classifier(classes)) for classes in sorted([*asked, *ascending])]
    for before, after in itertools.pairwise(found):
        assert after >= before - 1e-12
    low, high = list(ascending)[:2]
    middle = (low + high) // 2
    part = (middle - low) / (high - low)
    expected = ascending[low] + part * (ascending[high] - ascending[low])
    assert table.segment_ms(classifier(middle)) == pytest.approx(scale * expected, rel=1e-9, abs=1e-12)


def test_classifiers_of_more_classes_than_measured_cost_more() -> None:
    few, many = ((Linear("classifier", ("feature",), 16, n),) for n in (10, 20))
    table = LatencyTable(CONDITIONS, "", {key(few): Timing(1.0, 0, 9), key(many): Timing(1.5, 0, 9)})
    assert table.segment_ms((Linear("classifier", ("feature",), 16, 40),)) == pytest.approx(2.5)
    assert table.segment_ms((Linear("classifier", ("feature",), 16, 1),)) == 1.0


def test_differences_are_told_by_name() -> None:
    other = dataclasses.replace(CONDITIONS, threads=4, soc="Another")
    assert differences(other, CONDITIONS) == "soc 'Another' instead of 'A processor', threads 4 instead of 1"
    assert differences(CONDITIONS, CONDITIONS) == ""


def test_the_command_states_what_the_table_was_measured_with() -> None:
    assert command(dataclasses.replace(CONDITIONS, threads=3)) == "eas lut build --engine numpy --threads 3"
