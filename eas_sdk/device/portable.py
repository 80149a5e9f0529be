"""The state of any other system, as far as psutil knows it."""

from __future__ import annotations

import importlib
from typing import Any

from eas_sdk.device.state import DeviceState, share

SAMPLE_S = 0.1
"""How long the cores are watched for their load."""


def read() -> DeviceState:
    """Battery and load where psutil is installed; all is None where it is not, or where it fails."""
    try:
        psutil: Any = importlib.import_module("psutil")
    except ImportError:
        return DeviceState(source="nothing: psutil is not installed")
    battery: Any = None
    load: Any = None
    try:
        battery = psutil.sensors_battery()
        load = psutil.cpu_percent(interval=SAMPLE_S)
    except (AttributeError, OSError, RuntimeError, psutil.Error):  # psutil lacks functions on some systems
        pass
    plugged = getattr(battery, "power_plugged", None)
    return DeviceState(
        battery=share(getattr(battery, "percent", None), 100),
        charging=plugged if isinstance(plugged, bool) else None,
        load=share(load, 100),
        source="psutil",
    )
