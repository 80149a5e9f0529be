"""Reading real trees of files like those of a Linux kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.device import linux
from eas_sdk.device.state import THERMAL, DeviceState

SUPPLY = "sys/class/power_supply"
BATTERY = {"type": "Battery", "capacity": "80", "status": "Discharging"}


def tree(root: Path, files: dict[str, object]) -> Path:
    """Files below `root`; a folder where the content is a dict, bytes as they are, else a line of text."""
    for name, content in files.items():
        path = root / name
        if isinstance(content, dict):
            tree(path, content)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return root


def zone(now: object, *trips: tuple[str, object]) -> dict[str, object]:
    """A thermal zone; temperatures in thousandths of a degree."""
    files: dict[str, object] = {"type": "cpu-thermal", "temp": now}
    for index, (kind, at) in enumerate(trips):
        files |= {f"trip_point_{index}_type": kind, f"trip_point_{index}_temp": at}
    return files


def test_an_empty_tree_is_a_state_of_unknowns(tmp_path: Path) -> None:
    assert linux.read(tmp_path) == DeviceState(source="Linux sysfs")
    assert linux.read(tmp_path / "absent") == DeviceState(source="Linux sysfs")


def test_a_laptop(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            f"{SUPPLY}/AC": {"type": "Mains", "online": "0"},
            f"{SUPPLY}/BAT0": {**BATTERY, "capacity": "37", "present": "1", "energy_full": "50000000"},
            f"{SUPPLY}/hidpp_battery_0": {**BATTERY, "scope": "Device", "capacity": "5", "status": "Charging"},
            "sys/class/thermal/thermal_zone0": zone(60000, ("passive", 80000), ("critical", 100000)),
            "sys/class/thermal/cooling_device0": {"type": "Processor"},
            "sys/firmware/acpi/platform_profile": "low-power",
            "sys/devices/system/cpu/online": "0-3",
            "proc/loadavg": "1.00 0.50 0.25 1/500 1234",
        },
    )
    assert linux.read(tmp_path) == DeviceState(0.37, False, True, "none", None, 0.25, "Linux sysfs")


@pytest.mark.parametrize(
    ("sizes", "charge"),
    [
        (({}, {}), 0.5),
        (({"energy_full": 30}, {"energy_full": 10}), 0.3),
        (({"charge_full": 10}, {"charge_full": 30}), 0.7),
        (({"energy_full": 30}, {"charge_full": 10}), 0.5),  # two units: no weights
        (({"energy_full": 30}, {}), 0.5),
        (({"energy_full": 0}, {"energy_full": 10}), 0.5),
        (({"energy_full": "nan"}, {"energy_full": "10"}), 0.5),
        (({"energy_full": "10"}, {"energy_full": "nan"}), 0.5),
        (({"energy_full": "inf"}, {"energy_full": "10"}), 0.5),
    ],
)
def test_several_batteries_are_weighted_by_size(
    tmp_path: Path, sizes: tuple[dict[str, object], dict[str, object]], charge: float
) -> None:
    first, second = ({**BATTERY, **size} for size in sizes)
    tree(tmp_path / SUPPLY, {"BAT0": {**first, "capacity": "10"}, "BAT1": {**second, "capacity": "90"}})
    assert linux.read(tmp_path).battery == pytest.approx(charge)


@pytest.mark.parametrize("capacity", ["-1", "101", "nan", "inf", "full", "", "1e400", b"\xff\xfe", "5 0"])
def test_a_capacity_that_is_none_is_unknown(tmp_path: Path, capacity: object) -> None:
    tree(tmp_path / SUPPLY, {"BAT0": {**BATTERY, "capacity": capacity}})
    assert linux.read(tmp_path).battery is None
    tree(tmp_path / SUPPLY, {"BAT1": {**BATTERY, "capacity": "60"}})
    assert linux.read(tmp_path).battery == 0.6


def test_a_battery_that_is_taken_out_does_not_count(tmp_path: Path) -> None:
    out = {**BATTERY, "capacity": "0", "present": "0"}
    tree(tmp_path / SUPPLY, {"BAT0": {**BATTERY, "capacity": "60"}, "BAT1": out})
    assert linux.read(tmp_path).battery == 0.6


@pytest.mark.parametrize(
    ("statuses", "online", "charging"),
    [
        (["Charging"], [], True),
        (["Discharging"], [], False),
        (["Full"], [], True),
        (["Full"], [0], False),
        (["Unknown"], [], None),
        (["Not charging"], [1], True),  # held at a limit
        (["Not charging"], [0, 1], True),
        (["Not charging"], [0, 0], False),
        (["Not charging"], ["?"], None),
        (["Unknown", "Charging"], [0], True),
        (["Unknown", "Discharging"], [1], False),  # the charger is too weak
        ([], [1], True),
        ([], [], None),
        (["DISCHARGING"], [], False),
    ],
)
def test_charging(tmp_path: Path, statuses: list[str], online: list[object], charging: bool | None) -> None:
    batteries = {f"BAT{i}": {**BATTERY, "status": status} for i, status in enumerate(statuses)}
    chargers = {f"AC{i}": {"type": "Mains" if i else "USB", "online": value} for i, value in enumerate(online)}
    tree(tmp_path / SUPPLY, {**batteries, **chargers, "UPS0": {"type": "UPS", "online": "1"}})
    assert linux.read(tmp_path).charging is charging


@pytest.mark.parametrize(
    ("zones", "level"),
    [
        ([zone(20000, ("active", 10000))], "none"),
        ([zone(20000, ("passive", 30000))], "none"),
        ([zone(30000, ("passive", 30000))], "light"),
        ([zone(34999, ("passive", 30000))], "light"),
        ([zone(35000, ("passive", 30000))], "moderate"),
        ([zone(36000, ("passive", 30000), ("passive", 45000))], "light"),
        ([zone(45000, ("passive", 45000), ("passive", 30000))], "moderate"),
        ([zone(60000, ("passive", 30000), ("hot", 60000), ("critical", 70000))], "severe"),
        ([zone(70000, ("critical", 70000), ("hot", 60000))], "critical"),
        ([zone(50000, ("passive", 0), ("hot", -274000), ("critical", 90000))], "none"),  # switched off
        ([zone(20000, ("passive", 30000)), zone(65000, ("hot", 60000))], "severe"),
        ([zone("nan", ("passive", 30000)), zone(20000, ("passive", 30000))], "none"),
        ([zone("", ("passive", 30000))], None),
        ([zone(50000)], None),
        ([zone(50000, ("passive", "warm"))], None),
        ([zone(50000, (b"\xff\xfe", 30000))], "none"),
    ],
)
def test_the_hottest_zone_tells_the_heat(tmp_path: Path, zones: list[dict[str, object]], level: str | None) -> None:
    tree(tmp_path / "sys/class/thermal", {f"thermal_zone{i}": files for i, files in enumerate(zones)})
    assert linux.read(tmp_path).thermal == level


@pytest.mark.parametrize(
    ("profile", "saving"),
    [("low-power", True), ("balanced", False), ("performance", False), ("", None)],
)
def test_power_saving(tmp_path: Path, profile: str, saving: bool | None) -> None:
    tree(tmp_path, {"sys/firmware/acpi/platform_profile": profile})
    assert linux.read(tmp_path).power_saving is saving


@pytest.mark.parametrize(
    ("average", "online", "load"),
    [
        ("0.00 0.1 0.2 1/9 9", "0-7", 0.0),
        ("2.00 0.1 0.2 1/9 9", "0-1,4,6-7", 0.4),
        ("2.00", "0", 1.0),
        ("nan 0 0", "0-7", None),
        ("-1 0 0", "0-7", None),
        ("", "0-7", None),
        (b"\x00\xff", "0-7", None),
    ],
)
def test_load(tmp_path: Path, average: object, online: str, load: float | None) -> None:
    tree(tmp_path, {"proc/loadavg": average, "sys/devices/system/cpu/online": online})
    assert linux.read(tmp_path).load == load


@pytest.mark.parametrize("online", ["", "-", "-3", "0-x", "a", "3-1", "0-99999999999999999999999"])
def test_load_without_a_list_of_cores_counts_those_of_this_machine(tmp_path: Path, online: str) -> None:
    tree(tmp_path, {"proc/loadavg": "0.5 0 0", "sys/devices/system/cpu/online": online})
    assert linux.read(tmp_path).load == min(1.0, 0.5 / (os.cpu_count() or 1))


@pytest.mark.parametrize("hidden", ["", "BAT0", "BAT0/capacity"])
def test_what_may_not_be_read_is_unknown(tmp_path: Path, hidden: str) -> None:
    path = tree(tmp_path / SUPPLY, {"BAT0": BATTERY}) / hidden
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("this user reads everything")
        assert linux.read(tmp_path).battery is None
    finally:
        path.chmod(mode)


def test_folders_in_the_place_of_files_and_files_in_the_place_of_folders(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            f"{SUPPLY}/BAT0": {"type": "Battery", "capacity/deeper": "1", "status/deeper": "1"},
            "sys/class/thermal": "a file",
            "proc/loadavg/deeper": "1",
        },
    )
    assert linux.read(tmp_path) == DeviceState(source="Linux sysfs")


FILES = [
    *(f"{SUPPLY}/BAT0/{name}" for name in ("type", "capacity", "status", "energy_full", "present", "scope")),
    *(f"{SUPPLY}/AC/{name}" for name in ("type", "online")),
    *(f"sys/class/thermal/thermal_zone0/{name}" for name in ("temp", "trip_point_0_type", "trip_point_0_temp")),
    *("sys/firmware/acpi/platform_profile", "proc/loadavg", "sys/devices/system/cpu/online"),
]
CONTENTS = st.binary(max_size=12) | st.sampled_from(
    [
        b"Battery",
        b"Mains",
        b"Charging",
        b"100",
        b"1",
        b"passive",
        b"30000",
        b"nan",
        b"-inf",
        b"1e308",
        b"0-3",
        b"9" * 5000,
    ]
)


@given(contents=st.fixed_dictionaries(dict.fromkeys(FILES, CONTENTS)))
def test_whatever_the_files_hold_a_state_is_read(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, object]
) -> None:
    state = linux.read(tree(tmp_path_factory.mktemp("root"), contents))
    assert state.thermal is None or state.thermal in THERMAL
