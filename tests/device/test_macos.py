"""What `pmset` prints, recorded on Macs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.device import macos
from eas_sdk.device.state import THERMAL, DeviceState

DISCHARGING = """\
Now drawing from 'Battery Power'
 -InternalBattery-0 (id=4325507)\t72%; discharging; 3:12 remaining present: true
"""
NO_ESTIMATE = """\
Now drawing from 'Battery Power'
 -InternalBattery-0 (id=7798883)\t100%; discharging; (no estimate) present: true
"""
CHARGING = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=7798883)\t93%; charging; 0:24 remaining present: true
"""
CHARGED = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=4653155)        100%; charged; 0:00 remaining present: true
"""
HELD = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=3997795)\t79%; AC attached; not charging present: true
"""
DESKTOP = "Now drawing from 'AC Power'\n"
MOUSE = """\
Now drawing from 'AC Power'
 -Magic Mouse (id=1)\t7%; discharging; present: true
"""
UPS = """\
Now drawing from 'UPS Power'
 -Back-UPS (id=1)\t55%; discharging; 0:20 remaining present: true
"""

QUIET = """\
Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded
"""


def limited(percent: int) -> str:
    return f"""\
Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
2020-11-24 13:10:40 +0100 CPU Power notify
\tCPU_Scheduler_Limit \t= 100
\tCPU_Available_CPUs \t= 8
\tCPU_Speed_Limit \t= {percent}
"""


SETTINGS = """\
System-wide power settings:
Currently in use:
 standby              1
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 powernap             0
 disksleep            10
 {}
 sleep                1 (sleep prevented by screensharingd)
"""


@pytest.mark.parametrize(
    ("text", "battery", "charging"),
    [
        (DISCHARGING, 0.72, False),
        (NO_ESTIMATE, 1.0, False),
        (CHARGING, 0.93, True),
        (CHARGED, 1.0, True),
        (HELD, 0.79, True),
        (DESKTOP, None, True),
        (MOUSE, None, True),
        (UPS, None, False),
        ("", None, None),
        ("Now drawing from 'Solar Power'\n -InternalBattery-0 (id=1)\t999%; ?", None, None),
    ],
)
def test_battery(text: str, battery: float | None, charging: bool | None) -> None:
    assert macos.parse_battery(text) == (battery, charging)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (QUIET, "none"),
        (limited(100), "none"),
        (limited(99), "light"),
        (limited(80), "light"),
        (limited(79), "moderate"),
        (limited(50), "moderate"),
        (limited(35), "severe"),
        ("2021-01-01 10:00:00 +0100 Thermal Warning Level = 0\n" + limited(100), "none"),
        ("2021-01-01 10:00:00 +0100 Thermal Warning Level = 1\n", "moderate"),
        ("2021-01-01 10:00:00 +0100 Thermal Warning Level = 5\n" + limited(90), "severe"),
        ("2021-01-01 10:00:00 +0100 Thermal Warning Level = 10\n", "critical"),
        ("Error: No thermal warning level with error code 0x00000001\n", None),
        ("", None),
    ],
)
def test_heat(text: str, level: str | None) -> None:
    assert macos.parse_thermal(text) == level


@pytest.mark.parametrize(
    ("line", "saving"),
    [
        ("lowpowermode         1", True),
        ("lowpowermode         0", False),
        ("powermode            1", True),
        ("powermode            2", False),  # high power
        ("lowpowermode         on", None),
        ("", None),
    ],
)
def test_power_saving(line: str, saving: bool | None) -> None:
    assert macos.parse_power_saving(SETTINGS.format(line)) is saving


@given(
    st.text()
    | st.sampled_from([DISCHARGING, QUIET, SETTINGS]).flatmap(lambda t: st.permutations(t.splitlines()).map("\n".join))
)
def test_any_text_is_survived(text: str) -> None:
    battery, _ = macos.parse_battery(text)
    assert battery is None or 0 <= battery <= 1
    assert macos.parse_thermal(text) in (None, *THERMAL)
    assert macos.parse_power_saving(text) in (None, True, False)


def program(folder: Path, script: str) -> None:
    (folder / "pmset").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pmset").chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="a script stands for pmset")
def test_pmset_is_run_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("batt", DISCHARGING), ("therm", limited(60)), ("all", SETTINGS.format("lowpowermode 1"))):
        (tmp_path / name).write_text(text)
    program(tmp_path, f'test "$1" = -g && exec /bin/cat "{tmp_path}/${{2:-all}}"')
    monkeypatch.setenv("PATH", str(tmp_path))
    state = macos.read()
    assert state == DeviceState(0.72, False, True, "moderate", None, state.load, "macOS pmset")


@pytest.mark.skipif(os.name != "posix", reason="a script stands for pmset")
@pytest.mark.parametrize("script", ["exit 3", "printf '\\377\\376'", "exec /bin/sleep 30", None])
def test_a_pmset_that_fails_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    if script is not None:
        program(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(macos, "TIMEOUT_S", 0.2)
    state = macos.read()
    assert state == DeviceState(load=state.load, source="macOS pmset")
