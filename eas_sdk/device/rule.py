"""One rule of a policy: conditions on the state of a device, and the budget that they bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eas_sdk.budget import Budget
from eas_sdk.device.forms import is_name, is_number, members, require
from eas_sdk.device.state import MAX_HEADROOM, THERMAL, DeviceState, is_thermal
from eas_sdk.errors import BudgetError, TableError

OTHERWISE = "otherwise"
"""Stands for a rule's name where no rule holds."""

CONDITIONS = {
    "battery_below": "battery",
    "charging": "charging",
    "power_saving": "power_saving",
    "thermal_at_least": "thermal",
    "headroom_at_least": "headroom",
    "load_at_least": "load",
}
"""Conditions of a rule, and the field of DeviceState that each looks at."""


@dataclass(frozen=True)
class Rule:
    """A budget, and when it applies: all conditions that are given hold. What is unknown fulfils no condition.

    Attributes:
        name: for people, and to tell rules apart.
        budget: a text that `Budget.parse` reads.
        battery_below: the battery's charge is below this share.
        charging: whether external power feeds the device.
        power_saving: whether energy is to be saved.
        thermal_at_least: heat is at this level of `THERMAL`, or above.
        headroom_at_least: the forecast of heat is this number or more (1.0: severe heat begins).
        load_at_least: this share of the cores or more is busy.
    """

    name: str
    budget: str
    battery_below: float | None = None
    charging: bool | None = None
    power_saving: bool | None = None
    thermal_at_least: str | None = None
    headroom_at_least: float | None = None
    load_at_least: float | None = None

    def __post_init__(self) -> None:
        named = is_name(self.name) and self.name != OTHERWISE
        require(named, f"the name of a rule is a short text other than {OTHERWISE!r}", self.name)
        whose = f"of rule {self.name!r}"
        check_budget(self.budget, whose)
        for name, most, hint in (
            ("battery_below", 1.0, " (15% is 0.15)"),
            ("load_at_least", 1.0, " (90% is 0.9)"),
            ("headroom_at_least", MAX_HEADROOM, ""),
        ):
            value = getattr(self, name)
            fits = value is None or (is_number(value, 0, most) and value > 0)
            require(fits, f"{name} {whose} is a number above 0, at most {most:g}{hint}", value)
        for name in ("charging", "power_saving"):
            value = getattr(self, name)
            require(value is None or type(value) is bool, f"{name} {whose} is true or false", value)
        heat = self.thermal_at_least
        require(heat is None or is_thermal(heat), f"thermal_at_least {whose} is one of {', '.join(THERMAL)}", heat)
        require(len(self.conditions) > 0, f"a rule has at least one of {', '.join(CONDITIONS)}", self.name)

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are given, by name."""
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}

    def holds(self, state: DeviceState) -> bool:
        """Whether all conditions hold in `state`."""
        return all(_holds(name, limit, state) for name, limit in self.conditions.items())

    def explain(self, state: DeviceState | None = None) -> str:
        """The conditions in words, with what they are now where a state is given."""
        return ", ".join(_explain(name, limit, state) for name, limit in self.conditions.items())

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "budget": self.budget, **self.conditions}

    @classmethod
    def from_json(cls, data: object) -> Rule:
        """Raises TableError."""
        return cls(**members(data, "a rule", ("name", "budget"), tuple(CONDITIONS)))


def check_budget(text: object, whose: str) -> Budget:
    """The budget that a text of a policy means; TableError where it means none."""
    require(isinstance(text, str), f"the budget {whose} is a text such as '40%' or '8ms and 20MB'", text)
    try:
        return Budget.parse(text)
    except BudgetError as error:
        raise TableError(f"the budget {whose}: {error}") from error


def _holds(name: str, limit: Any, state: DeviceState) -> bool:
    now = getattr(state, CONDITIONS[name])
    if now is None:
        return False
    if name == "battery_below":
        return bool(now < limit)
    if name == "thermal_at_least":
        return THERMAL.index(now) >= THERMAL.index(limit)
    if isinstance(limit, bool):
        return bool(now == limit)
    return bool(now >= limit)


def _explain(name: str, limit: Any, state: DeviceState | None) -> str:
    if name == "charging":
        return "charging" if limit else "not charging"
    if name == "power_saving":
        return "power saving on" if limit else "power saving off"
    field = CONDITIONS[name]
    now = None if state is None else getattr(state, field)
    words = "heat" if field == "thermal" else field
    limits = f"below {_text(field, limit)}" if name == "battery_below" else f"at least {_text(field, limit)}"
    return f"{words} {limits}" if now is None else f"{words} {limits} (now {_text(field, now)})"


def _text(field: str, value: Any) -> str:
    if field in ("battery", "load"):
        return f"{100 * value:.4g}%"
    return value if isinstance(value, str) else f"{value:.3g}"
