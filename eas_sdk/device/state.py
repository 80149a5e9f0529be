"""What a device says of itself: battery, heat, power saving, load."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any

from eas_sdk.device.forms import is_number, members, require
from eas_sdk.errors import InputError

THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Levels of heat, ascending: Android's thermal status 0 to 6. From "light" on, the system lowers clocks."""

MAX_HEADROOM = 1000.0


@dataclass(frozen=True)
class DeviceState:
    """The state of a device at one moment; None is what could not be read.

    Attributes:
        battery: charge, a share from 0 to 1.
        charging: whether external power feeds the device, also where the battery is full already.
        power_saving: whether the user or the system asks to save energy.
        thermal: one of THERMAL.
        headroom: forecast of heat, 0 or more: 1.0 is where "severe" begins (Android's getThermalHeadroom).
        load: share of all cores that is busy, 0 to 1, work of this process included.
        source: what was read, in words.
    """

    battery: float | None = None
    charging: bool | None = None
    power_saving: bool | None = None
    thermal: str | None = None
    headroom: float | None = None
    load: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("battery", "load"):
            value = getattr(self, name)
            rule = f"{name} is a share from 0 to 1 (80% is 0.8), or None where it is unknown"
            require(value is None or is_number(value, 0, 1), rule, value, InputError)
        for name in ("charging", "power_saving"):
            value = getattr(self, name)
            require(value is None or type(value) is bool, f"{name} is True, False or None", value, InputError)
        rule = f"thermal is one of {', '.join(THERMAL)}, or None where it is unknown"
        require(self.thermal is None or is_thermal(self.thermal), rule, self.thermal, InputError)
        rule = f"headroom is a number from 0 to {MAX_HEADROOM:g}, 1.0 where severe heat begins, or None"
        require(self.headroom is None or is_number(self.headroom, 0, MAX_HEADROOM), rule, self.headroom, InputError)
        require(isinstance(self.source, str), "source is a text", self.source, InputError)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; `from_json` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> DeviceState:
        """The state that `to_json` gave; members may be missing.

        Raises:
            InputError: not an object, an unknown member, or a value that is not allowed.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**members(data, "a device state", (), names, InputError))


def read_state() -> DeviceState:
    """The state of the device that this runs on.

    Android is read through Chaquopy, macOS through `pmset`, Linux through sysfs, other systems through psutil where
    it is installed. What cannot be read is None; no condition of the device makes this raise.
    """
    # Chaquopy loads its module at start. Bridges to desktop Java have a module of that name without `jclass`.
    if hasattr(sys.modules.get("java"), "jclass"):
        from eas_sdk.device import android

        return android.read()
    if sys.platform == "darwin":
        from eas_sdk.device import macos

        return macos.read()
    if sys.platform.startswith(("linux", "android")):
        from eas_sdk.device import linux

        return linux.read()
    from eas_sdk.device import portable

    return portable.read()


def is_thermal(value: object) -> bool:
    """Whether `value` is one of THERMAL."""
    return isinstance(value, str) and value in THERMAL


def share(part: object, whole: float) -> float | None:
    """`part` of `whole` as a share, for readers: None unless it is a number from 0 to `whole`."""
    return float(part) / whole if isinstance(part, (int, float)) and is_number(part, 0, whole) else None


def busy_share(load_average: float | None, cores: int | None) -> float | None:
    """Share of `cores` that so many waiting and running tasks keep busy: 1 from one task a core on."""
    if load_average is None or not cores or not 0 <= load_average < math.inf:
        return None
    return min(1.0, load_average / cores)
