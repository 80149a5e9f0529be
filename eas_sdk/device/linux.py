"""The state of a Linux machine, from the files of the kernel (sysfs and procfs).

Heat is told by thermal zones, each a sensor with trip points (Documentation/driver-api/thermal in the kernel). The
hottest zone counts, by the trip points that its temperature has reached:

==================  ==========  ==============================================================================
trip point          level       because
==================  ==========  ==============================================================================
none, or `active`   "none"      a fan may turn; clocks are whole
first `passive`     "light"     the kernel begins to lower clocks
last `passive`      "moderate"  the temperature that it tries to hold; 5 °C above it where it is the only one
`hot`               "severe"    the firmware is told that the machine is too hot
`critical`          "critical"  the kernel is about to switch off
==================  ==========  ==============================================================================
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from eas_sdk.device.state import THERMAL, DeviceState, busy_share, share

ABOVE_PASSIVE = 5000.0
"""Thousandths of a degree above a single passive trip point from where heat is "moderate"."""

_MOST_BYTES = 4096


def read(root: Path = Path("/")) -> DeviceState:
    """The state that the files below `root` tell. What is missing, unreadable or absurd is None."""
    supplies = [s for s in _entries(root / "sys/class/power_supply") if _text(s / "scope") != "Device"]
    batteries = [s for s in supplies if _text(s / "type") == "Battery" and _text(s / "present") != "0"]
    profile = _text(root / "sys/firmware/acpi/platform_profile")
    return DeviceState(
        battery=_charge(batteries),
        charging=_charging(batteries, [s for s in supplies if _text(s / "type") not in ("Battery", "UPS", None)]),
        power_saving=profile == "low-power" if profile else None,
        thermal=_thermal(_entries(root / "sys/class/thermal")),
        load=_load(root),
        source="Linux sysfs",
    )


def _charge(batteries: list[Path]) -> float | None:
    """Mean charge, weighted by what each battery holds when full, where all tell it in one unit."""
    charges = {b: c for b in batteries if (c := share(_number(b / "capacity"), 100)) is not None}
    if not charges:
        return None
    for unit in ("energy_full", "charge_full"):  # µWh, µAh
        sizes = [_number(battery / unit) or 0.0 for battery in charges]
        if min(sizes) > 0:
            whole = math.fsum(sizes)
            return min(1.0, math.fsum(c * s / whole for c, s in zip(charges.values(), sizes, strict=True)))
    return math.fsum(charges.values()) / len(charges)


def _charging(batteries: list[Path], chargers: list[Path]) -> bool | None:
    """Batteries are believed first: a charger may be online and still weaker than the device."""
    statuses = {(_text(battery / "status") or "").lower() for battery in batteries}
    if "charging" in statuses:
        return True
    if "discharging" in statuses:
        return False
    online = [value > 0 for charger in chargers if (value := _number(charger / "online")) is not None]
    if online:
        return any(online)
    return True if "full" in statuses else None


def _thermal(folders: list[Path]) -> str | None:
    levels = [level for zone in folders if zone.name.startswith("thermal_zone") if (level := _level(zone)) is not None]
    return THERMAL[max(levels)] if levels else None


def _level(zone: Path) -> int | None:
    """The index into THERMAL of one zone; None where it has no temperature or no trip point to compare it with."""
    now = _number(zone / "temp")
    trips: dict[str, list[float]] = {}
    for file in _entries(zone):
        if file.name.startswith("trip_point_") and file.name.endswith("_type"):
            at = _number(file.with_name(file.name.replace("_type", "_temp")))
            if at is not None and at > 0:  # those at or below 0 °C are switched off
                trips.setdefault(_text(file) or "", []).append(at)
    if now is None or not trips:
        return None
    passive = sorted(trips.get("passive", []))
    moderate = passive[-1:] if len(passive) > 1 else [at + ABOVE_PASSIVE for at in passive]
    steps = (passive, moderate, trips.get("hot", []), trips.get("critical", []))  # light, moderate, severe, critical
    return max((level for level, at in enumerate(steps, start=1) if at and now >= min(at)), default=0)


def _load(root: Path) -> float | None:
    """Tasks that run or wait, averaged over the last minute, for each core."""
    first = (_text(root / "proc/loadavg") or "").partition(" ")[0]
    online = _text(root / "sys/devices/system/cpu/online")
    return busy_share(_parse(first), _count(online or "") or os.cpu_count())


def _count(ranges: str) -> int:
    """How many integers the kernel's notation "0-3,6" names; 0 where it is something else."""
    total = 0
    for part in ranges.split(","):
        low, _, high = part.partition("-")
        if not low.isdecimal() or not (high or low).isdecimal() or len(part) > 20:
            return 0
        total += max(0, int(high or low) - int(low) + 1)
    return total


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError:  # missing, forbidden, or a driver that answers with an error
        return None


def _number(path: Path) -> float | None:
    return _parse(_text(path) or "")


def _parse(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
