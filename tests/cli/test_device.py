"""`eas device`."""

from __future__ import annotations

import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eas_sdk.cli.device import device
from eas_sdk.device.policy import DEFAULT_POLICY, Policy, Rule
from eas_sdk.device.power import DEFAULT, PowerTable
from eas_sdk.device.state import DeviceState
from eas_sdk.errors import TableError

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run the command with the given arguments."""

    def invoke(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        return CliRunner().invoke(device, words, help_option_names=["-h", "--help"])

    return invoke


@pytest.fixture
def on_battery(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Become a device whose battery has the given charges, in percent, one after the other."""

    def become(*percents: int) -> None:
        left = list(percents)
        psutil = types.ModuleType("psutil")
        psutil.Error = OSError
        psutil.cpu_percent = lambda interval: 25.0
        psutil.sensors_battery = lambda: types.SimpleNamespace(percent=left.pop(0), power_plugged=False)
        monkeypatch.setitem(sys.modules, "psutil", psutil)
        monkeypatch.setattr(sys, "platform", "sunos5")  # which psutil alone knows

    return become


def test_this_machine_is_shown(run: Run) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    told = [line.partition("  ")[0] for line in result.stdout.splitlines()]
    assert told[:7] == ["battery", "charging", "power saving", "heat", "headroom", "load", "read from"]
    assert told[-2:] == ["budget", "because"]
    for rule in DEFAULT_POLICY.rules:
        assert rule.name in result.stdout
        assert rule.explain() in result.stdout


def test_the_rule_that_decides_is_marked(run: Run, on_battery: Callable[..., None]) -> None:
    on_battery(12)
    text = run().stdout
    (marked,) = [line for line in text.splitlines() if "->" in line]
    assert "battery nearly empty" in marked
    assert "15%" in marked
    assert "battery below 15% (now 12%), not charging" in text
    on_battery(90)
    (marked,) = [line for line in run().stdout.splitlines() if "->" in line]
    assert "otherwise" in marked


def test_json_is_one_object(run: Run, on_battery: Callable[..., None]) -> None:
    on_battery(12)
    facts = json.loads(run("--json").stdout)
    assert DeviceState.from_json(facts["state"]) == DeviceState(0.12, False, None, None, None, 0.25, "psutil")
    assert Policy.from_json(facts["policy"]) == DEFAULT_POLICY
    assert facts["rule"] == "battery nearly empty"
    assert facts["budget"] == "15%"
    assert facts["budget_bounds"] == {"level": 0.15}
    assert facts["reason"]
    assert facts["written"] == []


def test_a_policy_from_a_file_is_followed(run: Run, on_battery: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    Policy((Rule("half", "8ms and 20MB", battery_below=0.5),), "4M").write(path)
    on_battery(40, 80)
    facts = json.loads(run("--policy", path, "--json").stdout)
    assert (facts["rule"], facts["budget_bounds"]) == ("half", {"latency_ms": 8.0, "memory_bytes": 20_000_000})
    facts = json.loads(run("--policy", path, "--json").stdout)
    assert (facts["rule"], facts["budget_bounds"]) == ("otherwise", {"madds": 4_000_000})


def test_policy_and_power_table_are_written(run: Run, tmp_path: Path) -> None:
    policy, power, copy = (tmp_path / name for name in ("policy.json", "power.json", "copy.json"))
    result = run("--write-policy", policy, "--write-power", power)
    assert result.exit_code == 0, result.output
    assert Policy.read(policy) == DEFAULT_POLICY
    assert PowerTable.read(power) == DEFAULT
    assert str(policy) in result.stdout
    assert str(power) in result.stdout
    policy.write_text(policy.read_text().replace('"100%"', '"90%"'))
    facts = json.loads(run("--policy", policy, "--write-policy", copy, "--json").stdout)
    assert facts["written"] == [str(copy)]
    assert Policy.read(copy).otherwise == "90%"


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "eas_sdk power table"}', "[]"])
def test_a_file_that_is_no_policy_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    result = run("--policy", path)
    assert isinstance(result.exception, TableError)
    assert result.stdout == ""


def test_files_that_cannot_be_read_or_written_are_the_systems_errors(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("--policy", tmp_path / "absent.json").exception, FileNotFoundError)
    assert isinstance(run("--write-policy", tmp_path / "absent" / "a.json").exception, OSError)


def stop_after(looks: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Interrupt the command in place of that wait; the other waits take no time. The list fills with their lengths."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == looks:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    return waits


def test_watching_shows_each_look_and_keeps_a_rule_within_its_margin(
    run: Run, on_battery: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_battery(90, 39, 42, 46)
    waits = stop_after(4, monkeypatch)
    result = run("--watch", 5)
    assert waits == [5, 5, 5, 5]
    lines = [line for line in result.stdout.splitlines() if ": " in line and line[:2].isdigit()]
    assert [line.split("  ")[1] for line in lines] == ["50%", "50%", "100%"]
    assert "battery below 40% (now 39%)" in lines[0]
    assert "kept while battery below 45% (now 42%)" in lines[1]


def test_watching_in_json_prints_one_object_a_line(
    run: Run, on_battery: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_battery(90, 39, 42)
    stop_after(3, monkeypatch)
    looks = [json.loads(line) for line in run("--watch", 1, "--json").stdout.splitlines()]
    assert [look["budget"] for look in looks] == ["100%", "50%", "50%"]
    assert [look["state"]["battery"] for look in looks] == [0.9, 0.39, 0.42]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9", "99999999999999999999"])
def test_an_interval_that_is_none_is_refused(run: Run, seconds: str) -> None:
    result = run("--watch", seconds)
    assert result.exit_code == 2
    assert "--watch" in result.stderr


def test_help_has_examples(run: Run) -> None:
    assert "eas device --policy mine.json --watch 5" in run("-h").stdout
