"""The benchmark button's code path, run here with LiteRT, and what a phone is called in its table."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import pytest
from bundles import random_bundle
from click.testing import CliRunner

from eas_demo.blocks import COOL_DOWN_S, PAUSED_RUNS, POLL_S, RUNS, AppMeter, Stopped
from eas_demo.demo import Demo
from eas_demo.phone import conditions
from eas_sdk.cli.app import cli
from eas_sdk.device.state import DeviceState
from eas_sdk.errors import DeviceError
from eas_sdk.latency.meter import Conditions
from eas_sdk.latency.segments import input_network
from eas_sdk.latency.table import read

CALM = DeviceState(battery=1.0, thermal="none")


class Progress:
    """Remembers what it is told; stops after so many."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.told: list[tuple[int, int, str]] = []
        self._left = stop_after

    def show(self, done: int, total: int, what: str, /) -> bool:
        self.told.append((done, total, what))
        self._left -= 1
        return self._left > 0


class Runner:
    """Gives the same times for every file, which has to be there and whole."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times, self.asked = times, [(0, False, 0.0)][:0]

    def run(self, path: str, runs: int, displaced: bool, pause_ms: float, /) -> Sequence[float]:
        assert Path(path).read_bytes()[4:8] == b"TFL3"
        self.asked.append((runs, displaced, pause_ms))
        return self.times


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"))


def test_the_table_of_the_button_is_accepted_by_the_command_line(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from android_demo.standin.frames import LiteRtRunner

    demo = Demo(str(tmp_path), bundle=str(bundle), read_state=lambda: CALM)
    stopping = Progress(stop_after=9)
    with pytest.raises(Stopped):
        demo.measure(LiteRtRunner(), stopping)
    kept = len(read(demo.table_path).timings)
    assert kept >= 9
    assert json.loads(demo.info())["table"] is None, "not whole yet"
    progress = Progress()
    path = demo.measure(LiteRtRunner(), progress)
    assert progress.told[0][0] > kept, "what was measured is not measured again"
    assert [done for done, _, _ in progress.told] == [*range(kept + 1, progress.told[-1][1] + 1)]
    assert json.loads(demo.info())["table"] == path
    command = ("lut", "check", "--engine", "litert", "--table", path, "--bundle", str(bundle), "--networks", "4")
    result = CliRunner().invoke(cli, [*command, "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["networks"]) == 4
    told = CliRunner().invoke(
        cli, ["specialize", "birds", "1s", "--bundle", str(bundle), "--latency-table", path, "--json"]
    )
    assert json.loads(told.stdout)["predicted_latency_ms"] > 0
    assert not list(tmp_path.rglob("block.tflite"))


def meter(tmp_path: Path, runner: Runner, **changes: object) -> AppMeter:
    made = Conditions("phone", "chip", "litert", 1, "float32", "2.3.0", pause_ms=33.0)
    return AppMeter(runner, made, tmp_path, **{"read_state": lambda: CALM, **changes})  # type: ignore[arg-type]


def test_a_block_s_time_is_the_median_of_its_runs(tmp_path: Path) -> None:
    runner = Runner([2.9, 2.9, 3.0, 3.1, 3.1, 3.1, 3.0, 2.9, 50.0])
    timing = meter(tmp_path, runner).measure(input_network(8), part=True)
    assert (timing.median_ms, timing.count) == (3.0, 9)
    meter(tmp_path, runner).measure(input_network(8))
    assert runner.asked == [(RUNS, True, 0.0), (PAUSED_RUNS, False, 33.0)]


def test_times_that_something_disturbed_are_taken_again_and_the_fastest_count(tmp_path: Path) -> None:
    tries = iter([[5.0, 9.0] * 5, [4.0, 9.0] * 5, [4.5, 9.0] * 5])
    runner = Runner([])
    runner.run = lambda *_: next(tries)  # type: ignore[method-assign]
    assert meter(tmp_path, runner).measure(input_network(8)).median_ms == 6.5
    steady = iter([[5.0, 9.0] * 5, [4.0] * 10])
    runner.run = lambda *_: next(steady)  # type: ignore[method-assign]
    assert meter(tmp_path, runner).measure(input_network(8)).median_ms == 4.0


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 0.0, 2.0], [float("nan")] * 5])
def test_times_that_are_none_are_told(tmp_path: Path, times: list[float]) -> None:
    with pytest.raises(DeviceError, match="each above 0 ms"):
        meter(tmp_path, Runner(times)).measure(input_network(8))
    assert not list(tmp_path.iterdir())


def test_a_hot_phone_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    heat, waits = ["severe", "moderate", "light"], []
    cooling = {"read_state": lambda: DeviceState(thermal=heat.pop(0)), "sleep": waits.append}
    assert meter(tmp_path, Runner([1.0] * 5), **cooling).measure(input_network(8)).median_ms == 1.0
    assert waits == [POLL_S] * 2
    hot = {"read_state": lambda: DeviceState(thermal="severe"), "sleep": waits.append}
    with pytest.raises(DeviceError, match="let the phone cool"):
        meter(tmp_path, Runner([1.0] * 5), **hot).measure(input_network(8))
    assert sum(waits) >= COOL_DOWN_S


@pytest.mark.parametrize(("api", "soc"), [(34, "Google Tensor G3"), (30, "oriole")])
def test_a_phone_s_table_says_which_phone_it_is(monkeypatch: pytest.MonkeyPatch, api: int, soc: str) -> None:
    build = types.SimpleNamespace(
        MANUFACTURER="Google",
        MODEL="Pixel 8",
        HARDWARE="oriole",
        VERSION=types.SimpleNamespace(SDK_INT=api, RELEASE="14"),
        **({"SOC_MANUFACTURER": "Google", "SOC_MODEL": "Tensor G3"} if api >= 31 else {}),
    )
    java, android, os = (types.ModuleType(name) for name in ("java", "android", "android.os"))
    java.jclass = lambda name: None  # type: ignore[attr-defined]
    os.Build = build  # type: ignore[attr-defined]
    for module in (java, android, os):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    found = conditions(2, "2.3.0")
    assert (found.device, found.soc, found.engine, found.threads) == ("Google Pixel 8", soc, "litert", 2)
    assert found.runtime_version == "com.google.ai.edge.litert:litert 2.3.0, Android 14"
