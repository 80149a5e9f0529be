"""The state of an Android phone, through Chaquopy's `java` module.

Chaquopy gives Java's booleans, integers and floats as Python's, and makes Java exceptions subclasses of Exception.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from eas_sdk.device.state import MAX_HEADROOM, THERMAL, DeviceState, share
from eas_sdk.processes import Lock

T = TypeVar("T")

BATTERY_PROPERTY_CAPACITY = 4

FORECAST_S = 10
"""How far ahead the headroom is forecast."""

PACE_S = 1.0
"""Android answers NaN to those who ask for the headroom more often."""


class BatteryManager(Protocol):
    """What is used of android.os.BatteryManager."""

    def getIntProperty(self, id: int, /) -> int: ...
    def isCharging(self) -> bool: ...


class PowerManager(Protocol):
    """What is used of android.os.PowerManager. The thermal status came with API level 29, the headroom with 30."""

    def isPowerSaveMode(self) -> bool: ...
    def getCurrentThermalStatus(self) -> int: ...
    def getThermalHeadroom(self, forecastSeconds: int, /) -> float: ...


class Context(Protocol):
    """What is used of android.content.Context."""

    def getSystemService(self, name: str, /) -> object: ...


class Headroom:
    """Asks for the thermal headroom no more often than Android allows, and remembers the answer in between.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._asked_s = -math.inf
        self._answered_s = -math.inf
        self._value: float | None = None

    def read(self, ask: Callable[[], float | None]) -> float | None:
        """The answer of `ask`, or an earlier one where it is too early to ask again or the answer is no number.

        An answer is forgotten after the time for which it is a forecast.
        """
        with self._lock:
            now = self._clock()
            if now - self._asked_s >= PACE_S:
                self._asked_s = now
                value = ask()
                if isinstance(value, (int, float)) and 0 <= value <= MAX_HEADROOM:
                    self._value, self._answered_s = float(value), now
            return self._value if now - self._answered_s <= FORECAST_S else None


_headroom = Headroom()  # Android counts the calls of the whole process


def read(headroom: Headroom = _headroom) -> DeviceState:
    """The state of this phone. What its version of Android lacks or refuses is None; load is never told to apps.

    Args:
        headroom: what paces the questions for the thermal headroom.
    """
    context = _quietly(_application)
    if context is None:
        return DeviceState(source="nothing: this is no Android app with Chaquopy")
    battery = cast("BatteryManager", _quietly(lambda: context.getSystemService("batterymanager")))
    power = cast("PowerManager", _quietly(lambda: context.getSystemService("power")))
    api = _quietly(_api_level)
    thermal = _quietly(lambda: power.getCurrentThermalStatus())

    def ask() -> float | None:
        return _quietly(lambda: power.getThermalHeadroom(FORECAST_S))

    return DeviceState(
        battery=share(_quietly(lambda: battery.getIntProperty(BATTERY_PROPERTY_CAPACITY)), 100),
        charging=_flag(_quietly(lambda: battery.isCharging())),
        power_saving=_flag(_quietly(lambda: power.isPowerSaveMode())),
        thermal=THERMAL[thermal] if type(thermal) is int and 0 <= thermal < len(THERMAL) else None,
        headroom=headroom.read(ask),
        source=f"Android {api}" if api else "Android",
    )


def _application() -> Context:
    python: Any = _jclass("com.chaquo.python.Python")
    return cast("Context", python.getPlatform().getApplication())


def _api_level() -> int:
    return int(_jclass("android.os.Build").VERSION.SDK_INT)


def _jclass(name: str) -> Any:
    return importlib.import_module("java").jclass(name)


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _quietly(call: Callable[[], T]) -> T | None:
    """What `call` returns; None where this version of Android lacks it or Java throws, which may be any exception."""
    try:
        return call()
    except Exception:
        return None
