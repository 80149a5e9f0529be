"""`eas bench`: rows of figures, of this machine's engines and of a phone."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SPACE
from click.testing import Result
from latency.fake_adb import FakePhone
from latency.outputs import NEWER
from latency.tables import CONDITIONS, random_table
from PIL import Image

import eas_sdk
from eas_sdk.bench.apart import measure_apart
from eas_sdk.bench.figures import Case, Figures
from eas_sdk.bench.resident import growth_bytes
from eas_sdk.budget import Budget
from eas_sdk.errors import InfeasibleBudget
from eas_sdk.latency.table import LatencyTable, write

QUICK = ("--runs", 3, "--batch", 2)


def report(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    """A phone that the `adb` of the search path reaches; benchmark_model lies beside it."""
    made = FakePhone(tmp_path / "fake")
    made.script(output=NEWER)
    (made.folder / "benchmark_model").write_bytes(b"\x7fELF of a benchmark_model")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def table(tmp_path: Path) -> LatencyTable:
    """A latency table of the numpy engine, also as the file table.json."""
    made = random_table(SPACE, 0)
    write(made, tmp_path / "table.json")
    return made


def test_tasks_budgets_and_engines_have_a_row_each(eas, bundle: Path) -> None:
    tasks, budgets = ("tools", "birds"), ("0%", "1.5M and 20MB")
    options = ("--bundle", bundle, "--tasks", ",".join(tasks), "--budgets", ",".join(budgets), "--engines", "numpy")
    found = report(eas("bench", *options, *QUICK, "--json"))
    assert [(row["task"], row["budget"]) for row in found["rows"]] == [*itertools.product(tasks, budgets)]
    assert (found["threads"], found["runs"], found["batch"]) == (1, 3, 2)
    assert [conditions["engine"] for conditions in found["engines"]] == ["numpy"]
    runtime = eas_sdk.load(bundle)
    for row in found["rows"]:
        figures, model = row["figures"], runtime.specialize(row["task"], row["budget"])
        assert (row["engine"], row["error"]) == ("numpy", None)
        assert (figures["architecture"], figures["madds"]) == (str(model.architecture), model.madds)
        assert (figures["parameters"], figures["predicted_memory_bytes"]) == (model.parameters, model.memory_bytes)
        assert 0 < figures["latency_p50_ms"] <= figures["latency_p95_ms"]
        assert figures["latency_spread_ms"] >= 0
        assert figures["images_per_s"] > 0
        assert figures["predicted_latency_ms"] is None
        switch = figures["switch"]
        parts = [switch.pop(name) for name in ("select_ms", "slice_ms", "compile_ms", "first_ms")]
        assert switch == {"total_ms": pytest.approx(sum(parts))}
        assert min(parts) > 0


def test_the_first_superclass_on_every_installed_engine_by_default(eas, bundle: Path) -> None:
    rows = report(eas("bench", "--bundle", bundle, "--budgets", "100%", *QUICK, "--json"))["rows"]
    assert {row["task"] for row in rows} == {"birds"}
    wanted = {"numpy"}
    wanted |= {"litert"} if importlib.util.find_spec("ai_edge_litert") else set()
    wanted |= {"onnxruntime"} if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx") else set()
    assert {row["engine"] for row in rows} - {"coreml"} == wanted
    assert all(row["figures"] for row in rows)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells a peak and forgets it")
def test_a_larger_network_takes_more_memory(eas, bundle: Path) -> None:
    options = ("--bundle", bundle, "--budgets", "0%,100%", "--engines", "numpy", "--json")
    small, large = (row["figures"] for row in report(eas("bench", *options, *QUICK))["rows"])
    weights = 4 * (large["parameters"] - small["parameters"])
    assert large["memory_growth_bytes"] - small["memory_growth_bytes"] > weights / 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells a peak and forgets it")
def test_growth_is_that_of_the_peak_whatever_was_before() -> None:
    for count in (100_000_000, 40_000_000):
        assert growth_bytes(lambda count=count: np.ones(count, np.uint8)) == pytest.approx(count, rel=0.1)


def test_tables_show_rows_switches_and_errors_in_place(eas, bundle: Path) -> None:
    options = ("--bundle", bundle, "--tasks", "birds", "--engines", "numpy", *QUICK)
    result = eas("bench", *options, "--budgets", "0%,9k,100%")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines() if line.lstrip().startswith("birds")]
    first, second = rows[:3], rows[3:]
    assert [(row[0], row[1], row[2]) for row in first] == [("birds", b, "numpy") for b in ("0%", "9k", "100%")]
    assert [row[-1] == "(1)" for row in first] == [False, True, False]
    assert set(first[1][3:-1]) == {"–"}
    assert [(row[0], row[1]) for row in second] == [("birds", "0%"), ("birds", "100%")]
    (error,) = [line for line in result.stdout.splitlines() if line.startswith("(1)")]
    assert "the nearest feasible budget is" in error


def test_an_infeasible_budget_leaves_the_other_rows(eas, bundle: Path) -> None:
    options = ("--bundle", bundle, "--budgets", "9k,100%", "--engines", "numpy", "--json")
    infeasible, feasible = report(eas("bench", *options, *QUICK))["rows"]
    with pytest.raises(InfeasibleBudget) as raised:
        eas_sdk.load(bundle).specialize("birds", "9k")
    assert (infeasible["figures"], infeasible["error"]) == (None, str(raised.value))
    assert feasible["error"] is None
    assert feasible["figures"]["madds"] > 0


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML may be there")
def test_a_missing_engine_leaves_the_other_rows(eas, bundle: Path) -> None:
    options = ("--bundle", bundle, "--budgets", "0%", "--engines", "coreml,numpy", "--json")
    missing, there = report(eas("bench", *options, *QUICK))["rows"]
    assert (missing["engine"], missing["figures"]) == ("coreml", None)
    assert "Core ML" in missing["error"]
    assert (there["engine"], there["error"]) == ("numpy", None)


def test_nothing_measured_is_a_failure_with_a_report(eas, bundle: Path) -> None:
    result = eas("bench", "--bundle", bundle, "--budgets", "9k", "--engines", "numpy", "--json")
    assert result.exit_code == 2
    (row,) = json.loads(result.stdout)["rows"]
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert row["error"] in line


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--tasks", "brids"), "did you mean 'birds'?"),
        (("--engines", "nunpy"), "did you mean 'numpy'"),
        (("--engines", ","), "at least one engine"),
        (("--budgets", "4 parrots"), "'4 parrots'"),
        (("--budgets", " , "), "at least one budget"),
        (("--plot", "bench.txt"), ".png"),
        (("--plot", "no_such_folder/bench.png"), "a folder that exists"),
        (("--adb",), "--benchmark-model"),
    ],
)
def test_what_cannot_be_asked(eas, bundle: Path, options: tuple[str, ...], part: str) -> None:
    result = eas("bench", "--bundle", bundle, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert part in result.stderr


def test_a_latency_table_predicts_for_its_own_engine(eas, bundle: Path, table: LatencyTable, tmp_path: Path) -> None:
    options = ("--bundle", bundle, "--budgets", "1s", "--latency-table", tmp_path / "table.json", *QUICK)
    (row,) = report(eas("bench", *options, "--engines", "numpy", "--json"))["rows"]
    model = eas_sdk.load(bundle, latency=table).specialize("birds", "1s")
    assert row["figures"]["predicted_latency_ms"] == model.latency_ms == table.latency_ms(model.graph.nodes)
    assert f"{model.latency_ms:.2f}" in eas("bench", *options, "--engines", "numpy").stdout
    pytest.importorskip("ai_edge_litert")
    (row,) = report(eas("bench", *options, "--engines", "litert", "--json"))["rows"]
    assert row["figures"]["predicted_latency_ms"] is None


def test_a_plot(eas, bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "plots").mkdir()
    options = ("--bundle", bundle, "--budgets", "0%,9k,100%", "--engines", "numpy", *QUICK)
    report(eas("bench", *options, "--plot", tmp_path / "plots" / "bench.PNG", "--json"))
    assert os.listdir(tmp_path / "plots") == ["bench.PNG"]
    with Image.open(tmp_path / "plots" / "bench.PNG") as picture:
        assert picture.format == "PNG"
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    eas, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    result = eas("bench", "--bundle", bundle, "--plot", tmp_path / "bench.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'elastic-architecture-search[bench]'" in result.stderr


def test_a_phone_gives_latencies(eas, bundle: Path, phone: FakePhone, tmp_path: Path) -> None:
    table = random_table(SPACE, 0, replace(CONDITIONS, engine="benchmark_model"))
    write(table, tmp_path / "phone.json")
    options = ("--bundle", bundle, "--budgets", "0%,9k,1s", "--latency-table", tmp_path / "phone.json")
    arguments = ("bench", *options, "--adb", "--benchmark-model", phone.folder / "benchmark_model", "--runs", 20)
    found = report(eas(*arguments, "--json"))
    (conditions,) = found["engines"]
    assert (conditions["device"], conditions["engine"]) == ("Example 5", "benchmark_model")
    small, infeasible, large = found["rows"]
    assert "nearest feasible" in infeasible["error"]
    for row in (small, large):
        figures, model = row["figures"], eas_sdk.load(bundle, latency=table).specialize("birds", row["budget"])
        assert row["engine"] == "benchmark_model"
        assert figures["latency_p50_ms"] == 9.795
        assert figures["latency_spread_ms"] == pytest.approx(0.05105, rel=1e-3)
        assert figures["predicted_latency_ms"] == table.latency_ms(model.graph.nodes)
        assert figures["madds"] == model.madds
        others = ("latency_p95_ms", "images_per_s", "memory_growth_bytes", "predicted_memory_bytes", "switch")
        assert {figures[name] for name in others} == {None}
    first, second = phone.networks()
    assert first.stat().st_size < second.stat().st_size
    (run, _) = [command for command in phone.commands() if any("--graph=" in part for part in command)]
    assert "--num_runs=20" in run
    assert phone.files() == set()

    text = eas(*arguments).stdout
    assert "Example 5, EX9000" in text
    assert text.count("9.79") == 2  # 9.795, rounded
    assert "images/s" not in text
    assert "switch" not in text


def test_a_phone_that_is_lost_leaves_the_rows_before(eas, bundle: Path, phone: FakePhone) -> None:
    options = ("--adb", "FAKE0001", "--benchmark-model", phone.folder / "benchmark_model", "--json")
    arguments = ("bench", "--bundle", bundle, *options)
    report(eas(*arguments, "--budgets", "0%"))
    phone.script(lost_after=2 * len(phone.commands()) - 2)  # all that one network takes, less the removal at the end
    first, second = report(eas(*arguments, "--budgets", "0%,100%"))["rows"]
    assert first["figures"]["latency_p50_ms"] == 9.795
    assert second["figures"] is None
    assert "FAKE0001" in second["error"]


def test_engines_are_not_of_a_phone(eas, bundle: Path, phone: FakePhone) -> None:
    options = ("--bundle", bundle, "--adb", "--benchmark-model", phone.folder / "benchmark_model")
    result = eas("bench", *options, "--engines", "numpy")
    assert result.exit_code == 2
    assert "--engines are of this machine" in result.stderr
    assert phone.commands() == []


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    error = measure_apart(Case("birds", Budget(level=0.0)), tmp_path / "none.safetensors")
    assert isinstance(error, str)
    assert "ended with 1" in error
    assert "none.safetensors" in error


def test_modules_of_the_current_folder_are_not_run(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    found = measure_apart(Case("birds", Budget(level=0.0), runs=1, batch=1), bundle)
    assert isinstance(found, Figures)


def test_what_an_engine_prints_is_no_part_of_the_answer(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ai_edge_litert", "tflite_runtime"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "interpreter.py").write_text("import os; os.write(1, b'Hello!'); raise ImportError")
        (tmp_path / package / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    error = measure_apart(Case("birds", Budget(level=0.0), "litert"), bundle)
    assert isinstance(error, str)
    assert error.startswith("running a .tflite file needs ai-edge-litert")
