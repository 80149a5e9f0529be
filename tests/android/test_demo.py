"""The demo's Python side as Kotlin calls it: JSON in and out, real files, real networks."""

from __future__ import annotations

import array
import errno
import importlib.resources
import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SUPERCLASSES, random_bundle
from device.test_android import Phone
from hypothesis import given, settings
from hypothesis import strategies as st
from latency.tables import random_table

import eas_sdk
from eas_demo import files
from eas_demo.demo import Demo
from eas_demo.phone import conditions
from eas_sdk.device.state import DeviceState
from eas_sdk.latency.table import write
from eas_sdk.space.architecture import Architecture

CALM = DeviceState(battery=1.0, charging=False, power_saving=False, thermal="none")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def demo(bundle: Path, tmp_path: Path) -> Demo:
    return Demo(str(tmp_path), bundle=str(bundle), read_state=lambda: CALM)


def update(demo: Demo, *arguments: Any) -> dict[str, Any]:
    made = json.loads(demo.update(*arguments))
    assert isinstance(made, dict)
    return made


def timed(folder: Path, bundle: Path, **changes: Any) -> Demo:
    """A demo with a latency table."""
    space = eas_sdk.load(bundle).bundle.space
    write(random_table(space, 0, replace(conditions(1), **changes)), folder / "latency.json")
    return Demo(str(folder), bundle=str(bundle), read_state=lambda: CALM)


def test_the_info_has_all_that_the_screen_needs_at_its_start(demo: Demo, bundle: Path) -> None:
    info = json.loads(demo.info())
    runtime = eas_sdk.load(bundle)
    assert {name: tuple(facts["labels"]) for name, facts in info["tasks"].items()} == SUPERCLASSES
    assert tuple(info["tasks"]["birds"]["madds"]) == runtime.budget_range("birds")
    assert info["tasks"]["birds"]["ms"] is None
    assert info["table"] is None


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SUPERCLASSES)), st.floats(4e5, 3e6))
def test_what_is_written_keeps_to_the_slider_and_computes_the_network(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, task: str, madds: float
) -> None:
    interpreter = pytest.importorskip("eas_exporters.tflite.interpreter")
    pytest.importorskip("ai_edge_litert")
    demo = Demo(str(tmp_path_factory.mktemp("storage")), bundle=str(bundle), read_state=lambda: CALM)
    said = update(demo, task, "madds", madds)
    network, runtime = said["network"], eas_sdk.load(bundle)
    assert said["error"] == ""
    if madds >= runtime.budget_range(task)[0]:
        assert (network["madds"] <= madds, said["notice"]) == (True, "")
    else:
        assert "no network keeps to" in said["notice"]
        assert network["madds"] == runtime.budget_range(task)[0]
    model = runtime.build(task, Architecture.parse(network["architecture"]))
    assert (network["labels"], network["madds"]) == (list(model.labels), model.madds)
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    found = interpreter.Interpreter(Path(network["file"])).run(images)
    logits = model.logits(images)
    expected = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-4)


def test_a_tick_that_changes_nothing_writes_nothing(demo: Demo) -> None:
    first = update(demo, "birds", "madds", 1e6)
    file = Path(first["network"]["file"])
    before = file.stat().st_mtime_ns
    again = update(demo, "birds", "madds", 1e6, str(file), [1.0, 2.0])
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["network"] == first["network"]
    assert file.stat().st_mtime_ns == before


def test_auto_falls_with_the_battery_and_says_why(bundle: Path, tmp_path: Path) -> None:
    states = iter([CALM, DeviceState(battery=0.1, charging=False), DeviceState(battery=0.1, thermal="critical")])
    demo = Demo(str(tmp_path), bundle=str(bundle), read_state=lambda: next(states))
    calm, low, hot = (update(demo, "tools", "auto", 0.0) for _ in range(3))
    assert calm["network"]["madds"] > low["network"]["madds"] > hot["network"]["madds"]
    assert "battery nearly empty" in low["reason"]
    assert "critical heat" in hot["reason"]
    assert hot["state"]["thermal"] == "critical"


def test_milliseconds_need_a_table_and_then_hold(demo: Demo, bundle: Path, tmp_path: Path) -> None:
    before = update(demo, "birds", "madds", 1e6)
    refused = update(demo, "birds", "ms", 2.0)
    assert "latency table" in refused["error"]
    assert (refused["network"], refused["changed"]) == (before["network"], False)
    measured = timed(tmp_path, bundle)
    low, high = json.loads(measured.info())["tasks"]["birds"]["ms"]
    assert 0 < low < high
    middle = (low + high) / 2
    network = update(measured, "birds", "ms", middle)["network"]
    assert network["predicted_ms"] <= middle


def test_frames_that_slow_down_lead_to_a_smaller_network(bundle: Path, tmp_path: Path) -> None:
    demo = timed(tmp_path, bundle)
    _, high = json.loads(demo.info())["tasks"]["birds"]["ms"]
    first = update(demo, "birds", "ms", high)
    predicted = first["network"]["predicted_ms"]
    other = update(demo, "birds", "ms", high, "another file", [9 * predicted] * 20)
    assert (other["changed"], other["scale"]) == (False, 1.0), "times of another network say nothing"
    slow = update(demo, "birds", "ms", high, first["network"]["file"], [1.5 * predicted] * 20)
    assert slow["changed"]
    assert slow["scale"] == pytest.approx(1.5, rel=0.02)
    assert slow["network"]["predicted_ms"] <= high / 1.45


@pytest.mark.parametrize("change", [{"runtime_version": "older"}, {"device": "another phone"}])
def test_a_table_of_another_device_or_version_is_not_used(bundle: Path, tmp_path: Path, change: dict[str, str]) -> None:
    assert json.loads(timed(tmp_path, bundle, **change).info())["table"] is None


@pytest.mark.parametrize("content", ["", "{}", '{"format": "eas-latency-table"}'])
def test_a_damaged_table_is_not_used(bundle: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "latency.json").write_text(content)
    demo = Demo(str(tmp_path), bundle=str(bundle), read_state=lambda: CALM)
    assert update(demo, "birds", "madds", 1e6)["error"] == ""


@pytest.mark.parametrize(
    ("task", "unit", "value", "part"),
    [
        ("brids", "madds", 1e6, "birds"),
        ("birds", "hours", 1e6, "madds, ms, auto"),
        ("birds", "madds", -3.0, "budget"),
        ("birds", "madds", float("nan"), "budget"),
    ],
)
def test_what_cannot_be_leaves_the_network_and_is_told(
    demo: Demo, task: str, unit: str, value: float, part: str
) -> None:
    before = update(demo, "birds", "madds", 1e6)
    after = update(demo, task, unit, value)
    assert part in after["error"]
    assert (after["network"], after["changed"]) == (before["network"], False)
    assert update(demo, "birds", "madds", 2e6)["changed"], "and it goes on"


def test_networks_that_were_used_are_found_again_and_few_are_kept(demo: Demo, tmp_path: Path) -> None:
    budgets = [5e5 + 1.6e5 * i for i in range(files.KEPT + 4)]
    seen = [update(demo, "birds", "madds", budget)["network"]["file"] for budget in budgets]
    kept = {str(path) for path in (tmp_path / "networks").glob("*.tflite")}
    assert len(set(seen)) > files.KEPT
    last = list(dict.fromkeys(seen[::-1]))[: files.KEPT]
    assert kept == set(last)
    oldest = Path(last[-1])
    written = oldest.read_bytes()
    assert update(demo, "birds", "madds", budgets[seen.index(last[-1])])["network"]["file"] == last[-1]
    update(demo, "tools", "madds", 1e6)
    assert oldest.read_bytes() == written, "what was used again is not the oldest any more"
    assert not Path(last[-2]).exists()


def test_a_file_that_cannot_be_run_is_written_anew(demo: Demo) -> None:
    first = update(demo, "birds", "madds", 1e6)
    path = Path(first["network"]["file"])
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    demo.discard(str(path))
    again = update(demo, "birds", "madds", 1e6)
    assert again["changed"]
    assert path.read_bytes() == whole
    path.unlink()  # a cleaner of the phone's storage
    assert update(demo, "birds", "madds", 1e6)["changed"]
    assert path.read_bytes() == whole


def full_storage(failures: int, then: Callable[..., None]) -> Callable[..., None]:
    left = iter(range(failures))

    def write(*arguments: Any) -> None:
        if next(left, None) is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        then(*arguments)

    return write


def test_on_full_storage_networks_out_of_use_make_room(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for madds in (5e5, 1e6, 2e6):
        last = update(demo, "birds", "madds", madds)["network"]["file"]
    monkeypatch.setattr(files.NetworkFiles, "_write", full_storage(1, files.NetworkFiles._write))
    made = update(demo, "tools", "madds", 1e6)
    assert made["error"] == ""
    assert {str(p) for p in (tmp_path / "networks").iterdir()} == {last, made["network"]["file"]}


def test_storage_that_stays_full_is_told_and_the_network_goes_on(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    first = update(demo, "birds", "madds", 1e6)
    monkeypatch.setattr(files.NetworkFiles, "_write", full_storage(9, files.NetworkFiles._write))
    after = update(demo, "birds", "madds", 2e6)
    assert "No space left" in after["error"]
    assert (after["network"], after["changed"]) == (first["network"], False)
    assert Path(first["network"]["file"]).exists()


def test_what_a_killed_process_left_is_swept(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    left = tmp_path / "networks" / ".0123456789abcdef.tmp"
    left.write_bytes(b"half")
    Demo(str(tmp_path), bundle=str(bundle))
    assert not left.exists()


def test_on_a_phone_battery_and_heat_are_android_s(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Chaquopy's modules made up: `java` for the state, `android.os` for the phone's name."""
    phone = Phone(getIntProperty=10, getThermalHeadroom=0.4)
    java, android, build = (types.ModuleType(name) for name in ("java", "android", "android.os"))
    java.jclass = phone.jclass  # type: ignore[attr-defined]
    version = types.SimpleNamespace(SDK_INT=34, RELEASE="14")
    build.Build = types.SimpleNamespace(  # type: ignore[attr-defined]
        MANUFACTURER="Google", MODEL="Pixel 8", SOC_MANUFACTURER="Google", SOC_MODEL="Tensor G3", VERSION=version
    )
    for module in (java, android, build):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    demo = Demo(str(tmp_path), "2.3.0", 1, str(bundle))
    low = update(demo, "birds", "auto", 0.0, "", array.array("d", [1.0, 2.0]))
    assert low["state"]["source"] == "Android 34"
    assert "battery nearly empty" in low["reason"]
    phone.answers |= {"getIntProperty": 100, "getCurrentThermalStatus": 4}
    assert "critical heat" in update(demo, "birds", "auto", 0.0, low["network"]["file"], array.array("d"))["reason"]


def test_a_bundle_that_is_packed_into_the_app_is_used(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the app's module with a bundle in it, as the build packs it."""
    source = Path(str(importlib.resources.files("eas_demo")))
    shutil.copytree(source, tmp_path / "eas_demo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(bundle, tmp_path / "eas_demo" / "bundle.safetensors")
    script = "from eas_demo.demo import Demo; import sys; print(Demo(sys.argv[1]).info())"
    path = os.pathsep.join([str(tmp_path), str(Path(eas_sdk.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "storage")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(json.loads(done.stdout)["tasks"]) == [
        superclass.name for superclass in eas_sdk.load(bundle).bundle.superclasses
    ]
