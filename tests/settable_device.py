"""A device that a test sets, and what sessions on it are given."""

from __future__ import annotations

import numpy as np
from bundles import SPACE

from eas_sdk.device.policy import Policy, Rule
from eas_sdk.device.state import DeviceState

IMAGES = np.random.default_rng(5).integers(0, 256, (3, SPACE.input_sizes[-1], SPACE.input_sizes[-1], 3), np.uint8)

POLICY = Policy(
    (
        Rule("hot", "600k", thermal_at_least="moderate"),
        Rule("battery low", "1M", battery_below=0.4),
    ),
    "2M",
)
CALM, LOW, HOT = DeviceState(), DeviceState(battery=0.3), DeviceState(thermal="severe")


class Device:
    """A state and a clock that a test sets."""

    def __init__(self) -> None:
        self.state: DeviceState | Exception = CALM
        self.now = 0.0

    def read(self) -> DeviceState:
        if isinstance(self.state, Exception):
            raise self.state
        return self.state
