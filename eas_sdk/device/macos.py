"""The state of a Mac, from what `pmset` prints."""

from __future__ import annotations

import os
import re
import subprocess

from eas_sdk.device.state import THERMAL, DeviceState, busy_share, share

TIMEOUT_S = 5.0

_LIMITS = ((100, "none"), (80, "light"), (50, "moderate"))
"""CPU_Speed_Limit in percent from which each level holds; below the last it is "severe"."""

_WARNINGS = ((10, "critical"), (5, "severe"), (1, "moderate"))
"""Thermal warning levels (IOPMLib.h: 0 normal, 5 danger, 10 crisis) from which each level holds."""


def read() -> DeviceState:
    """The state of this Mac; what `pmset` does not tell is None, as is everything on another system."""
    battery, charging = parse_battery(_pmset("batt"))
    return DeviceState(
        battery=battery,
        charging=charging,
        power_saving=parse_power_saving(_pmset()),
        thermal=parse_thermal(_pmset("therm")),
        load=_load(),
        source="macOS pmset",
    )


def parse_battery(text: str) -> tuple[float | None, bool | None]:
    """Charge (0 to 1) and whether external power feeds the Mac, from `pmset -g batt`.

    ::

        Now drawing from 'Battery Power'
         -InternalBattery-0 (id=4325475)    85%; discharging; 5:12 remaining present: true
    """
    charges = [
        charge
        for percent in re.findall(r"^ *-InternalBattery.*?\s(\d{1,3})%;", text, re.MULTILINE)
        if (charge := share(int(percent), 100)) is not None
    ]
    source = re.search(r"^Now drawing from '(.+)'", text, re.MULTILINE)
    charging = None if source is None else {"AC Power": True, "Battery Power": False, "UPS Power": False}.get(source[1])
    return (sum(charges) / len(charges) if charges else None), charging


def parse_thermal(text: str) -> str | None:
    """The level of heat, from `pmset -g therm`: the worse of the warning and of the limit on the clock.

    A Mac that has not been hot since its start prints notes that nothing was recorded: "none". Macs with Apple's own
    processors tell less than Intel's, and may print these notes while they are warm.
    """
    limits = re.findall(r"\bCPU_Speed_Limit\s*=\s*(\d{1,9})\b", text)
    warnings = re.findall(r"\bThermal Warning Level\s*=\s*(\d{1,9})\b", text, re.IGNORECASE)
    levels = [
        *(next((name for least, name in _LIMITS if int(limit) >= least), "severe") for limit in limits),
        *(next((name for least, name in _WARNINGS if int(warning) >= least), "none") for warning in warnings),
    ]
    if re.search(r"^Note: No thermal warning level", text, re.MULTILINE):
        levels.append("none")
    return max(levels, key=THERMAL.index) if levels else None


def parse_power_saving(text: str) -> bool | None:
    """Whether low power mode is on, from `pmset -g`: `lowpowermode 1`, or `powermode 1` where there is a high one."""
    modes = re.findall(r"^\s*(?:lowpowermode|powermode)\s+(\d+)\s*$", text, re.MULTILINE)
    return "1" in modes if modes else None


def _load() -> float | None:
    try:
        return busy_share(os.getloadavg()[0], os.cpu_count())
    except (OSError, AttributeError):  # AttributeError: systems without load averages
        return None


def _pmset(*topic: str) -> str:
    command = ["pmset", "-g", *topic]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")
