"""The state of a device as a value, and the choice of who reads it."""

from __future__ import annotations

import json
import math
import sys
import types

import numpy as np
import pytest
from device_states import STATES
from hypothesis import given

from eas_sdk.device import portable
from eas_sdk.device.state import DeviceState, busy_share, read_state
from eas_sdk.errors import InputError

UNREAD = DeviceState()


@given(STATES)
def test_a_state_survives_json(state: DeviceState) -> None:
    assert DeviceState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_members_of_json_may_be_missing() -> None:
    assert DeviceState.from_json({"battery": 0.5}) == DeviceState(battery=0.5)
    assert DeviceState.from_json({}) == UNREAD


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        *[(name, bad, "from 0 to 1") for name in ("battery", "load") for bad in (-0.1, 1.01, 80, math.nan, True, "1")],
        ("battery", np.float32(0.5), "from 0 to 1"),
        ("battery", 10**5000, "from 0 to 1"),
        *[
            (name, bad, "True, False or None")
            for name in ("charging", "power_saving")
            for bad in (1, 0, "yes", np.True_)
        ],
        *[("thermal", bad, "severe") for bad in ("hot", "", 3, "None", ["none"])],
        *[("headroom", bad, "severe heat begins") for bad in (-1.0, math.nan, math.inf, "1", False)],
        ("source", None, "text"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or abs(value) < 100 else "huge",
)
def test_what_is_no_state_is_refused(field: str, value: object, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        DeviceState(**{field: value})
    message = str(caught.value)
    assert field in message
    assert allowed in message
    assert "got" in message
    assert len(message) < 300


@pytest.mark.parametrize("data", [None, [], "state", 3, {"batery": 0.5}, {"battery": "full"}, {"battery": 0.5, 3: 4}])
def test_what_is_no_state_in_json_is_refused(data: object) -> None:
    with pytest.raises(InputError):
        DeviceState.from_json(data)


def test_a_misspelt_member_brings_a_hint() -> None:
    with pytest.raises(InputError, match=r"'batery' \(did you mean 'battery'\?\)"):
        DeviceState.from_json({"batery": 0.5})


@pytest.mark.parametrize(
    ("average", "cores", "share"),
    [(0.0, 4, 0.0), (1.0, 4, 0.25), (9.0, 4, 1.0), (None, 4, None), (1.0, None, None), (1.0, 0, None)],
)
def test_load_averages_are_shares_of_the_cores(average: float | None, cores: int | None, share: float | None) -> None:
    assert busy_share(average, cores) == share
    assert busy_share(math.nan, cores) is None


def test_this_machine_can_be_read() -> None:
    state = read_state()
    assert state.source
    assert DeviceState.from_json(state.to_json()) == state


@pytest.mark.parametrize(
    ("platform", "source"),
    [("linux", "Linux sysfs"), ("android", "Linux sysfs"), ("darwin", "macOS pmset"), ("sunos5", "psutil")],
)
def test_the_platform_chooses_the_reader(monkeypatch: pytest.MonkeyPatch, platform: str, source: str) -> None:
    monkeypatch.setitem(sys.modules, "psutil", fake_psutil(None, 0.0))
    monkeypatch.setattr(sys, "platform", platform)
    assert read_state().source == source


def test_chaquopy_chooses_android_and_other_bridges_to_java_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    java = types.ModuleType("java")
    monkeypatch.setitem(sys.modules, "java", java)
    assert "Chaquopy" not in read_state().source
    java.jclass = lambda name: None
    assert "Chaquopy" in read_state().source


def fake_psutil(battery: object, load: object) -> types.ModuleType:
    """psutil of a machine that this one is not."""

    def answer(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    module = types.ModuleType("psutil")
    module.Error = type("Error", (Exception,), {})
    module.sensors_battery = lambda: answer(battery)
    module.cpu_percent = lambda interval: answer(load)
    return module


@pytest.mark.parametrize(
    ("battery", "load", "expected"),
    [
        ((81.0, False), 37.5, (0.81, False, 0.375)),
        ((100, True), 100.0, (1.0, True, 1.0)),
        ((255, None), 0.0, (None, None, 0.0)),  # Windows: unknown
        ((math.nan, True), math.nan, (None, True, None)),
        (None, 50.0, (None, None, 0.5)),
        (OSError("no such file"), 50.0, (None, None, None)),
        ((81.0, False), RuntimeError("no counters"), (0.81, False, None)),
    ],
)
def test_psutil_is_read_where_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, battery: object, load: object, expected: tuple[object, ...]
) -> None:
    if isinstance(battery, tuple):
        battery = types.SimpleNamespace(percent=battery[0], power_plugged=battery[1])
    monkeypatch.setitem(sys.modules, "psutil", fake_psutil(battery, load))
    state = portable.read()
    assert (state.battery, state.charging, state.load) == expected


def test_psutil_may_lack_the_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fake_psutil(None, 50.0)
    del module.sensors_battery
    monkeypatch.setitem(sys.modules, "psutil", module)
    assert portable.read().battery is None


def test_without_psutil_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    state = portable.read()
    assert state == DeviceState(source=state.source)
    assert "psutil" in state.source


def test_the_real_psutil_is_understood() -> None:
    pytest.importorskip("psutil")
    load = portable.read().load
    assert load is None or 0 <= load <= 1
