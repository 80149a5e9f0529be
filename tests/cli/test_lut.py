"""`eas lut`, and what `eas specialize` and `eas predict` make of its tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import SUPERCLASSES, TINY, random_bundle
from click.testing import CliRunner
from latency.fake_adb import FakePhone
from latency.outputs import NEWER
from PIL import Image

import eas_sdk
from eas_sdk.cli.app import cli
from eas_sdk.cli.lut import CLASSIFIERS
from eas_sdk.device.state import DeviceState
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.segments import key
from eas_sdk.latency.store import table_path
from eas_sdk.latency.table import LatencyTable, read, write

Eas = Callable[..., Any]
PARTS = space_segments(TINY, {*CLASSIFIERS, *map(len, SUPERCLASSES.values())})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"), space=TINY, router=False)


@pytest.mark.parametrize("pause", ["inf", "nan", "1e8"])
def test_a_pause_that_never_ends_is_refused(eas: Eas, bundle: Path, tmp_path: Path, pause: str) -> None:
    result = eas("lut", "build", "--bundle", bundle, "-o", tmp_path / "table.json", "--pause", pause)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a pause takes from 0 to 1e+07 ms; got" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """A real table of this machine."""
    path = tmp_path_factory.mktemp("built") / "numpy.json"
    result = CliRunner().invoke(cli, ["lut", "build", "--bundle", str(bundle), "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def table(built: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(built, tmp_path / "table.json"))


@pytest.fixture
def stored(built: Path) -> LatencyTable:
    """It where this machine's tables are found."""
    table_path("numpy", 1).parent.mkdir()
    shutil.copy(built, table_path("numpy", 1))
    return read(built)


def test_build_leaves_a_table_where_the_runtime_finds_it(eas: Eas, bundle: Path, built: Path) -> None:
    table_path("numpy", 1).parent.mkdir()
    shutil.copy(built, table_path("numpy", 1))
    changed = json.loads(built.read_text())
    name = key(PARTS[-1])
    del changed["segments"][name]
    table_path("numpy", 1).write_text(json.dumps(changed))
    result = eas("lut", "build", "--bundle", bundle)
    assert result.exit_code == 0, result.output
    assert set(read(table_path("numpy", 1)).timings) == {key(part) for part in PARTS}
    for part in (str(table_path("numpy", 1)), f"{len(PARTS)}", "numpy", "float32", "x the sum of their blocks"):
        assert part in result.stdout
    model = eas_sdk.load(bundle).specialize("birds", "10s")
    assert model.latency_ms == pytest.approx(read(table_path("numpy", 1)).latency_ms(model.graph.nodes))


def test_a_table_holds_every_block_and_its_conditions(built: Path) -> None:
    from eas_sdk.latency.local import conditions

    found = read(built)
    assert set(found.timings) == {key(part) for part in PARTS}
    assert found.conditions == conditions("numpy", 1)
    assert os.listdir(built.parent) == ["numpy.json"]


def test_the_router_s_blocks_are_measured_too(eas: Eas, tmp_path: Path) -> None:
    routed = random_bundle(tmp_path, space=TINY)
    assert eas("lut", "build", "--bundle", routed, "-o", tmp_path / "table.json").exit_code == 0
    runtime = eas_sdk.load(routed, latency=tmp_path / "table.json")
    found = read(tmp_path / "table.json")
    router_ms = found.latency_ms(runtime.checked_router().graph.nodes)
    model = runtime.specialize("auto", "10s")
    assert model.latency_ms is not None
    assert router_ms < model.latency_ms


def test_without_a_table_the_first_budget_in_time_measures_this_machine(eas: Eas, bundle: Path) -> None:
    first = eas("specialize", "birds", "100s", "--bundle", bundle)
    assert first.exit_code == 0, first.output
    assert "measured this machine quickly" in first.stderr
    assert "`eas lut build --engine numpy`" in first.stderr
    assert "by a quick table" in first.stdout
    assert "nobody measured" in first.stdout
    again = eas("specialize", "birds", "100J", "--bundle", bundle, "--json")
    assert json.loads(again.stdout)["quick_latency_table"] is True
    assert "measured this machine" not in again.stderr
    (path,) = table_path("numpy", 1).parent.iterdir()
    assert read(path).quick
    checked = eas("lut", "check", "--bundle", bundle, "--table", path, "--networks", 2)
    assert "by a quick table" in checked.stdout


def test_a_power_table_of_one_s_own_decides_what_energy_a_network_takes(
    eas: Eas, bundle: Path, stored: LatencyTable, tmp_path: Path
) -> None:
    assert eas("device", "--write-power", tmp_path / "mine.json").exit_code == 0
    power = json.loads((tmp_path / "mine.json").read_text())
    for cluster in power["clusters"]:
        cluster["idle_mw"] *= 2
        cluster["active_mw"] = [[load, 2 * mw] for load, mw in cluster["active_mw"]]
    (tmp_path / "mine.json").write_text(json.dumps(power | {"name": "mine", "is_default": False}))
    arguments = ("specialize", "birds", "100J", "--bundle", bundle)
    of_all, mine = (eas(*arguments, *more, "--json") for more in ((), ("--power-table", tmp_path / "mine.json")))
    energies = [json.loads(result.stdout)["predicted_energy_mj"] for result in (of_all, mine)]
    assert energies[1] == pytest.approx(2 * energies[0])
    shown = eas(*arguments, "--power-table", tmp_path / "mine.json").stdout
    assert "'mine'" in shown
    assert "nobody measured" not in shown


def test_building_a_table_takes_the_place_of_the_quick_one(eas: Eas, bundle: Path) -> None:
    eas("specialize", "birds", "100s", "--bundle", bundle)
    (quick,) = table_path("numpy", 1).parent.iterdir()
    assert eas("lut", "build", "--bundle", bundle).exit_code == 0
    assert list(quick.parent.iterdir()) == [table_path("numpy", 1)]
    facts = json.loads(eas("specialize", "birds", "100s", "--bundle", bundle, "--json").stdout)
    assert facts["quick_latency_table"] is False


def test_bench_measures_quickly_before_it_measures(eas: Eas, bundle: Path) -> None:
    result = eas("bench", "--bundle", bundle, "--budgets", "100s", "--engines", "numpy", "--runs", 2, "--json")
    assert result.exit_code == 0, result.output
    assert "measured this machine quickly" in result.stderr
    (row,) = json.loads(result.stdout)["rows"]
    assert row["figures"]["predicted_latency_ms"] > 0
    plain = eas("bench", "--bundle", bundle, "--budgets", "100%", "--engines", "numpy", "--runs", 2, "--json")
    assert json.loads(plain.stdout)["rows"][0]["figures"]["predicted_latency_ms"] is None


def test_json_tells_what_was_measured(eas: Eas, bundle: Path, table: Path) -> None:
    result = eas("lut", "build", "--bundle", bundle, "-o", table, "--json")
    facts, found = json.loads(result.stdout), read(table)
    assert facts["table"] == str(table)
    assert (facts["blocks"], facts["threads"], facts["precision"]) == (len(PARTS), 1, "float32")
    assert (facts["scale"], facts["offset_ms"]) == (found.scale, found.offset_ms)
    assert found.conditions.soc in facts["device"]
    assert found.conditions.runtime_version in facts["engine"]


def test_a_run_that_was_cut_goes_on_and_a_fresh_one_begins_again(eas: Eas, bundle: Path, table: Path) -> None:
    whole = read(table)
    kept = dict(list(whole.timings.items())[:-2])
    marked = kept | {key(PARTS[0]): Timing(123.0, 4.0, 5)}
    write(dataclasses.replace(whole, timings=marked), table)
    assert eas("lut", "build", "--bundle", bundle, "-o", table).exit_code == 0
    found = read(table).timings
    assert set(found) == set(whole.timings)
    assert {name: found[name] for name in marked} == marked
    assert eas("lut", "build", "--bundle", bundle, "-o", table, "--fresh").exit_code == 0
    assert set(read(table).timings) == set(whole.timings)
    assert all(t.median_ms < 123 for t in read(table).timings.values())


@pytest.mark.parametrize("command", ["build", "check"])
def test_a_table_of_another_machine_is_refused(eas: Eas, bundle: Path, table: Path, command: str) -> None:
    found = read(table)
    write(dataclasses.replace(found, conditions=dataclasses.replace(found.conditions, soc="Another")), table)
    before = table.read_bytes()
    result = eas("lut", command, "--bundle", bundle, "-o" if command == "build" else "--table", table)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "soc 'Another' instead of" in result.stderr
    assert table.read_bytes() == before


def test_check_compares_with_real_networks(eas: Eas, bundle: Path, table: Path) -> None:
    arguments = ("lut", "check", "--bundle", bundle, "--table", table, "--networks", 3, "--seed", 4)
    facts = json.loads(eas(*arguments, "--json").stdout)
    assert len(facts["networks"]) == 3
    runtime, known = eas_sdk.load(bundle), read(table)
    for row in facts["networks"]:
        architecture = eas_sdk.Architecture.parse(row["architecture"])
        predicted = known.latency_ms(runtime.build("birds", architecture).graph.nodes)
        assert row["predicted_ms"] == pytest.approx(predicted)
        assert row["measured_ms"] > 0
    errors = sorted(abs(row["predicted_ms"] / row["measured_ms"] - 1) for row in facts["networks"])
    assert facts["median_error"] == pytest.approx(errors[1])
    assert errors[1] <= facts["p95_error"] <= errors[2]
    text = eas(*arguments).stdout
    for part in ("3 random networks", "median error", "95th percentile", "%", " ms"):
        assert part in text


def test_check_finds_the_table_of_this_machine(eas: Eas, bundle: Path, stored: LatencyTable) -> None:
    result = eas("lut", "check", "--bundle", bundle, "--networks", 2, "--json")
    assert len(json.loads(result.stdout)["networks"]) == 2
    result = eas("lut", "check", "--bundle", bundle, "--threads", 2)
    assert result.exit_code == 2
    assert "`eas lut build --engine numpy --threads 2`" in result.stderr


def test_a_table_of_networks_with_pauses_is_checked_with_pauses(eas: Eas, bundle: Path, tmp_path: Path) -> None:
    path, paused = tmp_path / "paused.json", dataclasses.replace(conditions("numpy", 1), pause_ms=1.0)
    write(LatencyTable(paused, "", {key(part): Timing(0.1, 0.01, 50) for part in PARTS}), path)
    refused = eas("lut", "build", "--bundle", bundle, "-o", path)
    assert "pause_ms 1.0 instead of 0.0" in refused.stderr
    built = eas("lut", "build", "--bundle", bundle, "-o", path, "--pause", 1)
    assert built.exit_code == 0, built.output
    result = eas("lut", "check", "--bundle", bundle, "--table", path, "--networks", 2, "--json")
    assert len(json.loads(result.stdout)["networks"]) == 2


def test_check_draws_a_plot(eas: Eas, bundle: Path, table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "check.png"
    result = eas("lut", "check", "--bundle", bundle, "--table", table, "--networks", 2, "--plot", plot)
    assert result.exit_code == 0, result.output
    with Image.open(plot) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 2


def test_a_plot_without_matplotlib_is_told(
    eas: Eas, bundle: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    plot = tmp_path / "check.png"
    result = eas("lut", "check", "--bundle", bundle, "--table", table, "--networks", 2, "--plot", plot)
    assert result.exit_code == 2
    assert "elastic-architecture-search[bench]" in result.stderr
    assert not plot.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "--adb"], "--benchmark-model"),
        (["check", "--adb", "SERIAL"], "--benchmark-model"),
        (["build", "--engine", "nunpy"], "numpy"),
        (["build", "--engine", "auto"], "of one engine"),
        (["build", "--threads", "0"], "--threads"),
        (["check", "--networks", "1"], "--networks"),
        (["check", "--table", "absent.json"], "absent.json"),
        (["build", "--bundle", "absent.safetensors"], "absent.safetensors"),
    ],
)
def test_what_cannot_be_measured_is_told(
    eas: Eas, bundle: Path, stored: LatencyTable, arguments: list[str], told: str
) -> None:
    command, *rest = arguments
    result = eas("lut", command, "--bundle", bundle, *rest)
    assert result.exit_code == 2
    assert told in result.stderr


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    """A phone that adb on the path is connected to."""
    made = FakePhone(tmp_path / "fake")
    made.script(output=NEWER)
    monkeypatch.setenv("PATH", str(made.folder), prepend=os.pathsep)
    return made


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    file = tmp_path / "benchmark_model"
    file.write_bytes(b"\x7fELF of a benchmark_model")
    return file


def test_a_phone_s_table_goes_to_a_file_of_its_own(eas: Eas, bundle: Path, phone: FakePhone, binary: Path) -> None:
    result = eas("lut", "build", "--bundle", bundle, "--adb", "--benchmark-model", binary)
    assert result.exit_code == 2
    assert "--output" in result.stderr
    assert phone.files() == set()
    assert not table_path("numpy", 1).parent.exists()


def test_a_phone_s_table_is_built_by_the_phone(
    eas: Eas, bundle: Path, phone: FakePhone, binary: Path, tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    measured = Conditions(
        "Example 5",
        "EX9000",
        "benchmark_model",
        1,
        "float32",
        "unknown",
        hashlib.sha256(binary.read_bytes()).hexdigest(),
        "c0",
    )
    options = ("--bundle", bundle, "--adb", "--benchmark-model", binary)
    done = {key(part): Timing(0.1, 0.01, 50) for part in PARTS[:-1]}
    write(LatencyTable(measured, "", done), path)  # all but one block, as of a run that was cut
    result = eas("lut", "build", *options, "-o", path)
    assert result.exit_code == 0, result.output
    found = read(path)
    assert found.timings.items() > done.items()
    assert set(found.timings) == {key(part) for part in PARTS}
    assert "Example 5, EX9000" in result.stdout
    model = eas_sdk.load(bundle, latency=path).specialize("birds", "1s")
    assert model.latency_ms == pytest.approx(found.latency_ms(model.graph.nodes))
    result = eas("lut", "check", "--bundle", bundle, "--table", path)
    assert "engine 'benchmark_model' instead of 'numpy'" in result.stderr


def test_specialize_keeps_bounds_in_time_and_memory(eas: Eas, bundle: Path, stored: LatencyTable) -> None:
    runtime = eas_sdk.load(bundle)
    small, large = (runtime.build("tools", end) for end in (TINY.smallest, TINY.largest))
    times = [stored.latency_ms(model.graph.nodes) for model in (small, large)]
    time_ms, memory_mb = 0.4 * times[0] + 0.6 * max(times) + 1e-3, (small.memory_bytes + large.memory_bytes) / 2e6
    text = f"{time_ms:.6f}ms and {memory_mb:.6f}MB"
    result = eas("specialize", "tools", text, "--bundle", bundle, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["bounds"] == eas_sdk.Budget.parse(text).bounds
    assert report["predicted_latency_ms"] <= report["bounds"]["latency_ms"]
    assert report["predicted_memory_bytes"] <= report["bounds"]["memory_bytes"]
    assert report["predicted_energy_mj"] > 0
    assert report["architecture"] == str(runtime.specialize("tools", text).architecture)
    shown = eas("specialize", "tools", text, "--bundle", bundle).stdout
    for part in (f"{report['predicted_latency_ms']:.2f} ms predicted for numpy", "'generic phone'", "nobody measured"):
        assert part in shown
    result = eas("specialize", "tools", "1us and 1GB", "--bundle", bundle)
    assert result.exit_code == 2
    assert "nearest feasible budget" in result.stderr


def test_specialize_without_a_table_tells_how_to_measure_one_with_care(eas: Eas, bundle: Path) -> None:
    result = eas("specialize", "tools", "100s", "--bundle", bundle, "--threads", 2)
    assert result.exit_code == 0
    assert "`eas lut build --engine numpy --threads 2`" in result.stderr


def test_specialize_for_another_device_s_table(eas: Eas, bundle: Path, table: Path) -> None:
    result = eas("specialize", "tools", "10s", "--bundle", bundle, "--latency-table", table, "--json")
    assert json.loads(result.stdout)["predicted_latency_ms"] > 0
    table.write_text("{}")
    result = eas("specialize", "tools", "10s", "--bundle", bundle, "--latency-table", table)
    assert result.exit_code == 2
    assert str(table) in result.stderr


def test_predict_asks_the_device_for_its_budget(
    eas: Eas, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (40, 40), "red").save(image)
    runtime, seen = eas_sdk.load(bundle), set()
    for battery, budget in ((0.1, "15%"), (0.9, "100%")):
        state = DeviceState(battery=battery, charging=False)
        monkeypatch.setattr("eas_sdk.device.state.read_state", lambda state=state: state)
        result = eas("predict", image, "--task", "tools", "--budget", "auto", "--bundle", bundle, "--json")
        report = json.loads(result.stdout)
        assert report["architecture"] == str(runtime.specialize("tools", budget).architecture)
        assert report["budget"] == budget
        assert f'the budget "auto" is {budget} now: ' in result.stderr
        assert ("battery nearly empty (battery below 15%" if battery < 0.15 else "no rule holds") in result.stderr
        seen.add(report["architecture"])
        plain = eas("predict", image, "--task", "tools", "--bundle", bundle, "--json")
        assert json.loads(plain.stdout)["budget"] == "100%"
        assert plain.stderr == ""
    assert len(seen) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["specialize", "tools", "auto"],
        ["export", "tools", "auto"],
        ["bench", "--budgets", "auto", "--runs", "1", "--engines", "numpy"],
    ],
)
def test_a_budget_by_the_device_s_state_is_told_with_its_reason(
    eas: Eas, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("eas_sdk.device.state.read_state", lambda: DeviceState(load=0.97))
    result = eas(*words, "--bundle", bundle)
    assert result.exit_code == 0, result.output
    assert 'the budget "auto" is 50% now: busy (load at least 90% (now 97%))' in result.stderr
