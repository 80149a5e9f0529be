"""A device whose battery and heat are set by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

from eas_sdk.device.state import DeviceState
from eas_sdk.errors import InputError

SLOWEST = 8.0


class Device:
    """Attributes:
    state: what the policy gets to see.
    slowdown: how many times longer frames take, as under heat that the state does not tell.
    """

    def __init__(self) -> None:
        self.state = DeviceState(battery=1.0, charging=False, power_saving=False, thermal="none", source="stand-in")
        self.slowdown = 1.0

    def read(self) -> DeviceState:
        """See `eas_sdk.device.state.read_state`."""
        return self.state

    def set(self, changes: dict[str, Any]) -> None:
        """Change members of the state, or the slowdown.

        Raises:
            InputError: no such member, or a value that is not allowed.
        """
        changes = dict(changes)
        slowdown = changes.pop("slowdown", self.slowdown)
        if isinstance(slowdown, bool) or not isinstance(slowdown, (int, float)) or not 1 <= slowdown <= SLOWEST:
            raise InputError(f"the slowdown is a number from 1 to {SLOWEST:g}; got {slowdown!r}")
        self.state = DeviceState.from_json(dataclasses.asdict(self.state) | changes)
        self.slowdown = float(slowdown)
