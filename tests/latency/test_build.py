"""Building, calibrating and checking tables: on a device that computes its times, and on this machine."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given, settings
from hypothesis import strategies as st
from latency.tables import CONDITIONS, SumMeter, network_ms
from strategies import architectures, spaces

from eas_sdk.errors import DeviceError, InputError, MissingDependency, TableError
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.build import build, calibrate, space_segments
from eas_sdk.latency.check import Check, Comparison, check, random_networks
from eas_sdk.latency.local import LocalMeter
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.segments import Segment, key, repeated, segments
from eas_sdk.latency.table import read, write
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.sample import random_architecture

WHOLE = Architecture(())
TINY = dataclasses.replace(
    SPACE,
    input_sizes=(16,),
    units=tuple(u if u.fixed else dataclasses.replace(u, depths=(1, 2), kernels=(3, 5)) for u in SPACE.units[:3]),
    largest=WHOLE,
)
PARTS = space_segments(TINY, (2, 9))


class Told(list[str]):
    """Keys that `advance` was told, with the counts checked."""

    def __init__(self, before: int, total: int) -> None:
        super().__init__()
        self.before, self.total = before, total

    def __call__(self, done: int, total: int, name: str) -> None:
        self.append(name)
        assert (done, total) == (self.before + len(self), self.total)


@given(spaces(), st.data())
@settings(max_examples=30)
def test_a_table_predicts_what_adds_up_exactly(
    tmp_path_factory: pytest.TempPathFactory, space: ElasticSpace, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.json"
    table = build(SumMeter(), space_segments(space, (2, 9)), path)
    drawn = data.draw(st.lists(st.tuples(architectures(space), st.integers(2, 40)), min_size=1, max_size=5))
    networks = [space.structure(architecture, classes) for architecture, classes in drawn]
    for nodes in networks:
        assert table.latency_ms(nodes) == pytest.approx(network_ms(nodes), rel=1e-6)
    calibrated = calibrate(SumMeter(), table, [("", nodes) for nodes in networks], path)
    assert calibrated.scale == pytest.approx(1, rel=1e-6)
    assert read(path).scale == calibrated.scale
    assert read(path).timings == table.timings


def test_nothing_of_a_quick_table_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    whole = build(SumMeter(), PARTS, path)
    write(dataclasses.replace(whole, timings={key(PARTS[0]): Timing(123.0, 0.0, 9)}, scale=7.0, quick=True), path)
    again = build(SumMeter(), PARTS, path)
    assert (again.timings, again.scale, again.quick) == (whole.timings, 1.0, False)
    assert not read(path).quick


def test_the_scale_is_what_whole_networks_take_more_than_their_blocks(tmp_path: Path) -> None:
    meter, path = SumMeter(slow_down=1.3), tmp_path / "table.json"
    networks = random_networks(TINY, 4, 5, seed=1)
    for _ in range(2):  # the scale of before has no part in it
        table = calibrate(meter, build(meter, PARTS, path), networks, path)
        assert table.scale == read(path).scale == pytest.approx(1.3)
    found = check(meter, table, networks)
    assert [n.measured_ms for n in found.networks] == pytest.approx([1.3 * network_ms(nodes) for _, nodes in networks])
    assert found.median_error < 1e-6
    assert found.ratio == pytest.approx(1)


def test_a_line_through_whole_networks_takes_care_of_the_caches(tmp_path: Path) -> None:
    """Small networks are faster than the sum of their blocks, large ones slower."""

    class Caches(SumMeter):
        def measure(self, graph: Graph, *, part: bool = False) -> Timing:
            timing = super().measure(graph, part=part)
            median_ms = timing.median_ms if part else 1.2 * timing.median_ms - 0.05
            return dataclasses.replace(timing, median_ms=median_ms)

    path = tmp_path / "table.json"
    table = calibrate(Caches(), build(Caches(), PARTS, path), random_networks(TINY, 12, 5, seed=1), path)
    assert (table.scale, table.offset_ms) == pytest.approx((1.2, -0.05))
    assert read(path).offset_ms == table.offset_ms
    found = check(Caches(), table, random_networks(TINY, 20, 5, seed=2))
    assert found.p95_error < 1e-6
    ends = (TINY.smallest, TINY.largest)
    choices = choice_table(TINY, table, 9).total(TINY, TINY.encode(ends), 9)
    assert choices.tolist() == pytest.approx([table.latency_ms(TINY.structure(end, 9)) for end in ends])


def test_an_offset_that_would_make_networks_free_is_not_taken(tmp_path: Path) -> None:
    class Odd(SumMeter):
        def measure(self, graph: Graph, *, part: bool = False) -> Timing:
            timing = super().measure(graph, part=part)
            return timing if part else dataclasses.replace(timing, median_ms=max(9 * timing.median_ms - 5, 0.01))

    path = tmp_path / "table.json"
    table = calibrate(Odd(), build(Odd(), PARTS, path), random_networks(TINY, 12, 5, seed=1), path)
    assert table.offset_ms == 0


@pytest.mark.parametrize(("factor", "constant", "line"), [(1.5, 2.0, (1.5, 2.0)), (0.0, 2.0, None)])
def test_what_every_inference_costs_is_taken_where_blocks_count_too(
    tmp_path: Path, factor: float, constant: float, line: tuple[float, float] | None
) -> None:
    """As of a camera's frames, between which a processor slows down."""

    class Rested(SumMeter):
        def measure(self, graph: Graph, *, part: bool = False) -> Timing:
            timing = super().measure(graph, part=part)
            median_ms = timing.median_ms if part else factor * timing.median_ms + constant
            return dataclasses.replace(timing, median_ms=median_ms)

    path = tmp_path / "table.json"
    table = calibrate(Rested(), build(Rested(), PARTS, path), random_networks(TINY, 12, 5, seed=1), path)
    if line is None:
        assert table.offset_ms == 0
    else:
        assert (table.scale, table.offset_ms) == pytest.approx(line)


def test_blocks_that_do_not_add_up_to_networks_are_told(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table = build(SumMeter(), PARTS, path)
    before = path.read_bytes()
    with pytest.raises(TableError, match=r"from 0.001 to 1000 times .* got 5e\+03: measure .* again with"):
        calibrate(SumMeter(slow_down=5000), table, random_networks(TINY, 2, 5, 0), path)
    nothing = dataclasses.replace(table, timings={name: Timing(0.0, 0.0, 1) for name in table.timings})
    with pytest.raises(TableError, match=r"every network takes time; .* one takes 0 ms: measure it again"):
        calibrate(SumMeter(), nothing, random_networks(TINY, 2, 5, 0), path)
    assert path.read_bytes() == before


def test_every_segment_of_a_space_is_there_once() -> None:
    keys = [key(part) for part in PARTS]
    assert len(set(keys)) == len(keys)
    rng = random.Random(0)
    for architecture in (TINY.smallest, TINY.largest, *(random_architecture(TINY, rng) for _ in range(20))):
        for classes in (2, 9):
            assert {key(part) for part in segments(TINY.structure(architecture, classes))} <= set(keys)
    # a fixed block, two units of a first block and the others, with each kernel and ratio; five parts around them; two
    # classifiers
    assert len(keys) == 1 + 2 * 2 * (2 * 3) + 5 + 2
    sized = [key(part) for part in space_segments(SIZES, (2, 9))]
    assert len(set(sized)) == len(sized)
    # a fixed block, then of each unit a first block and, once for all, the later ones; around them what follows
    blocks = [1, 2 * 4, 2 * 2 * 4, 2 * 4, 2 * 2 * 4]
    assert len(sized) == len(SIZES.input_sizes) * (sum(blocks) + 4) + 2
    for _ in range(20):
        nodes = SIZES.structure(random_architecture(SIZES, rng), 9)
        assert {key(part) for part in segments(nodes)} <= set(sized)


def test_equal_blocks_are_measured_once(tmp_path: Path) -> None:
    meter, told = SumMeter(), Told(0, len(PARTS))
    table = build(meter, [*PARTS, *PARTS[::-1]], tmp_path / "table.json", advance=told)
    assert told == [key(part) for part in PARTS]
    assert set(table.timings) == set(told)
    for part in PARTS[1:]:
        assert meter.seen.count(repeated(part, 1).nodes) == 1
    again, told = SumMeter(), Told(len(PARTS), len(PARTS))
    assert build(again, PARTS, tmp_path / "table.json", advance=told).timings == table.timings
    assert (again.seen, told) == ([], [])


def test_segments_of_another_space_join_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    first = build(SumMeter(), PARTS, path)
    units = tuple(u if u.fixed else dataclasses.replace(u, kernels=(3, 7)) for u in TINY.units)
    head = dataclasses.replace(TINY.head, width=2 * TINY.head.width)
    wider = dataclasses.replace(TINY, head=head, units=units, largest=WHOLE)
    meter = SumMeter()
    both = build(meter, space_segments(wider, (2, 9)), path)
    assert both.timings.items() > first.timings.items()
    shared = [part for part in space_segments(wider, (2, 9)) if key(part) in first.timings]
    assert len(shared) > 10
    assert not {repeated(part, 1).nodes for part in shared if part[0].name != "normalize"} & set(meter.seen)
    for space in (TINY, wider):
        assert both.latency_ms(space.structure(space.largest, 2)) > 0


@pytest.mark.parametrize("fails_at", [0, 1, 7, 40])
def test_a_run_that_was_cut_goes_on_where_it_stopped(tmp_path: Path, fails_at: int) -> None:
    path, whole = tmp_path / "cut.json", build(SumMeter(), PARTS, tmp_path / "whole.json")
    first, before = SumMeter(fails_at=fails_at), Told(0, len(PARTS))
    with pytest.raises(DeviceError, match="gone"):
        build(first, PARTS, path, advance=before)
    kept = set(read(path).timings) if path.exists() else set()
    assert kept == set(before)
    assert len(kept) < len(PARTS)
    second, after = SumMeter(), Told(len(kept), len(PARTS))
    table = build(second, PARTS, path, advance=after)
    assert [*before, *after] == [key(part) for part in PARTS]
    assert table.timings == whole.timings == read(path).timings
    done: list[Segment] = [part for part in PARTS[1:] if key(part) in kept]
    assert not {repeated(part, 1).nodes for part in done} & set(second.seen)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Conditions)])
def test_measurements_of_other_conditions_are_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "table.json"
    table = build(SumMeter(), PARTS[:3], path)
    before = path.read_bytes()
    other = SumMeter(dataclasses.replace(CONDITIONS, **{field: {"threads": 7, "pause_ms": 33.0}.get(field, "another")}))
    for parts in (PARTS, PARTS[:3]):
        with pytest.raises(TableError, match=rf"table\.json: .*{field} .* instead of .*--fresh"):
            build(other, parts, path)
    with pytest.raises(TableError, match=f"{field} .* instead of"):
        check(other, table, random_networks(TINY, 2, 5, 0))
    assert other.seen == []
    assert path.read_bytes() == before


def test_a_file_that_is_no_table_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a table")
    with pytest.raises(TableError, match=r"notes\.txt"):
        build(SumMeter(), PARTS, path)
    assert path.read_text() == "not a table"


def test_a_table_says_when_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.json"
    table = build(SumMeter(), PARTS[:2], path)
    year, month, day = map(int, table.date.split("-"))
    assert (year > 2024, 1 <= month <= 12, 1 <= day <= 31) == (True, True, True)
    write(dataclasses.replace(table, date="2020-02-02"), path)
    assert build(SumMeter(), PARTS[:2], path).date == "2020-02-02"
    assert build(SumMeter(), PARTS[:3], path).date == table.date


def test_figures_of_a_check() -> None:
    networks = tuple(Comparison("a", predicted, 2.0) for predicted in (2.0, 1.0, 2.2, 5.0, 2.0))
    found = Check(networks)
    assert [n.error for n in networks] == pytest.approx([0, 0.5, 0.1, 1.5, 0])
    assert found.median_error == pytest.approx(0.1)
    assert found.p95_error == pytest.approx(np.quantile([0, 0.5, 0.1, 1.5, 0], 0.95))
    assert found.ratio == pytest.approx(1)


def test_random_networks_are_members_of_all_sizes_and_the_same_for_a_seed() -> None:
    drawn = random_networks(SPACE, 30, 4, seed=3)
    assert drawn == random_networks(SPACE, 30, 4, seed=3) != random_networks(SPACE, 30, 4, seed=4)
    costs = [network_ms(nodes) for _, nodes in drawn]
    ends = [network_ms(SPACE.structure(end, 4)) for end in (SPACE.smallest, SPACE.largest)]
    assert min(costs) < ends[0] + 0.25 * (ends[1] - ends[0])
    assert max(costs) > ends[0] + 0.75 * (ends[1] - ends[0])


def test_a_real_table_of_this_machine(tmp_path: Path) -> None:
    meter, path = LocalMeter("numpy", time_s=0.0), tmp_path / "table.json"
    assert meter.conditions.runtime_version == f"numpy {np.__version__}"
    parts = space_segments(SPACE, (2, 8))
    table = build(meter, parts, path)
    table = calibrate(meter, table, random_networks(SPACE, 3, 3, seed=0), path)
    assert json.loads(path.read_bytes())["conditions"] == dataclasses.asdict(meter.conditions)
    assert set(table.timings) == {key(part) for part in parts}
    assert all(t.count >= 15 and 0 <= t.median_ms < 1e4 and 0 <= t.spread_ms < 1e4 for t in table.timings.values())
    assert sum(t.median_ms > 0 for t in table.timings.values()) > len(parts) / 2
    found = check(meter, table, random_networks(SPACE, 3, 3, seed=1))
    assert all(n.measured_ms > 0 and n.predicted_ms > 0 for n in found.networks)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["one size", "three"])
@pytest.mark.parametrize("engine", ["numpy", "litert", "onnxruntime"])
def test_every_engine_runs_every_kind_of_segment(engine: str, space: ElasticSpace) -> None:
    try:
        meter = LocalMeter(engine, time_s=0.0)
    except MissingDependency as error:
        pytest.skip(str(error))
    nodes = space.structure(space.smallest, 3)
    for part in segments(nodes)[1:]:
        assert meter.measure(repeated(part, 1), part=True).median_ms > 0
    assert meter.measure(repeated(segments(nodes)[2], 3)).median_ms > 0


def test_pauses_come_between_whole_networks_and_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("eas_sdk.latency.local.time.sleep", slept.append)
    meter = LocalMeter("numpy", time_s=0.0, pause_ms=33.0)
    assert meter.conditions.pause_ms == 33.0
    graph = repeated(segments(TINY.structure(TINY.smallest, 3))[2], 1)
    assert meter.measure(graph, part=True).count == 15
    assert slept == []
    assert meter.measure(graph).median_ms < 33
    assert slept == [0.033] * 15


@pytest.mark.parametrize("engine", ["auto", "nunpy"])
def test_what_is_no_single_engine_is_not_measured(engine: str) -> None:
    with pytest.raises(InputError, match="numpy"):
        LocalMeter(engine)
