"""Policies: which budget the state of a device allows, as data that anyone can read and edit."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from eas_sdk.budget import Budget
from eas_sdk.device.forms import check_schema, is_number, is_tuple_of, members, read_json, require, write_json
from eas_sdk.device.rule import OTHERWISE, Rule, check_budget
from eas_sdk.device.state import DeviceState

__all__ = ["DEFAULT_POLICY", "OTHERWISE", "Decision", "Policy", "Rule", "decide"]

SCHEMA, VERSION = "eas_sdk policy", 1

MAX_RULES = 100

MARGINS = {"battery_below": "battery_margin", "load_at_least": "load_margin", "headroom_at_least": "headroom_margin"}
"""Conditions with a threshold that a state may hover around, and the margin of each."""


@dataclass(frozen=True)
class Policy:
    """Rules, of which the first that holds decides, and the budget where none does.

    A rule that decided last time is left only once one of its conditions fails by more than its margin, so that a
    state which hovers around a threshold does not switch networks back and forth (hysteresis).

    Attributes:
        rules: in the order in which they are asked.
        otherwise: a text that `Budget.parse` reads.
        battery_margin, load_margin, headroom_margin: in the units of the conditions.
    """

    rules: tuple[Rule, ...]
    otherwise: str
    battery_margin: float = 0.05
    load_margin: float = 0.1
    headroom_margin: float = 0.05

    def __post_init__(self) -> None:
        fit = is_tuple_of(self.rules, Rule) and len(self.rules) <= MAX_RULES
        require(fit, f"rules are a tuple of at most {MAX_RULES} Rules", self.rules)
        names = [rule.name for rule in self.rules]
        require(len(set(names)) == len(names), "rules have different names", names)
        check_budget(self.otherwise, f"of {OTHERWISE!r}")
        for name in MARGINS.values():
            margin = getattr(self, name)
            require(is_number(margin, 0, 1), f"{name} is a number from 0 to 1", margin)
        for rule in self.rules:
            for condition, name in MARGINS.items():
                threshold, margin = rule.conditions.get(condition), getattr(self, name)
                if threshold is None:
                    continue
                where = f"{condition} of rule {rule.name!r}"
                if condition == "battery_below":
                    limits = f"{where} is at most 1 - {name} (a full battery has to end it)"
                    require(threshold + margin <= 1, limits, threshold)
                else:
                    require(threshold > margin, f"{where} is above {name} (a state of 0 has to end it)", threshold)

    def loosened(self, rule: Rule) -> Rule:
        """`rule` with its thresholds moved by the margins: what keeps it, once it has decided."""
        moved: dict[str, Any] = {}
        for condition, name in MARGINS.items():
            threshold, margin = rule.conditions.get(condition), getattr(self, name)
            if threshold is not None:
                moved[condition] = threshold + margin if condition == "battery_below" else threshold - margin
        return dataclasses.replace(rule, **moved)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; `from_json` reads it."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "rules": [rule.to_json() for rule in self.rules],
            "otherwise": self.otherwise,
            **{name: getattr(self, name) for name in MARGINS.values()},
        }

    @classmethod
    def from_json(cls, data: object) -> Policy:
        """The policy that `to_json` gave; margins may be missing.

        Raises:
            TableError: of another version, or with a member that is missing, unknown or not allowed.
        """
        required = ("schema", "version", "rules", "otherwise")
        found = members(data, "a policy", required, tuple(MARGINS.values()))
        check_schema(found, SCHEMA, VERSION)
        require(isinstance(found["rules"], list), "rules of a policy are a list", found["rules"])
        margins = {name: found[name] for name in MARGINS.values() if name in found}
        return cls(tuple(Rule.from_json(rule) for rule in found["rules"]), found["otherwise"], **margins)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Policy:
        """Raises OSError, or TableError where the file is no policy of this version."""
        return cls.from_json(read_json(path, "a policy"))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as JSON, whole or not at all. Raises OSError."""
        write_json(path, self.to_json())


@dataclass(frozen=True)
class Decision:
    """What a policy says of a state.

    Attributes:
        rule_name: of the rule that decided, or OTHERWISE.
        budget: for the networks from now on.
        reason: for people.
    """

    rule_name: str
    budget: Budget
    reason: str


def decide(policy: Policy, state: DeviceState, current: Decision | None = None) -> Decision:
    """The budget that `policy` allows in `state`.

    Args:
        current: the decision that is in force, for the hysteresis; its rule may be one that the policy no longer has.
    """
    for rule in policy.rules:
        if rule.holds(state):
            return Decision(rule.name, Budget.parse(rule.budget), rule.explain(state))
        if current is not None and current.rule_name == rule.name and (kept := policy.loosened(rule)).holds(state):
            return Decision(rule.name, Budget.parse(rule.budget), f"kept while {kept.explain(state)}")
    return Decision(OTHERWISE, Budget.parse(policy.otherwise), "no rule holds")


DEFAULT_POLICY = Policy(
    (
        Rule("critical heat", "0%", thermal_at_least="critical"),
        Rule("severe heat", "15%", thermal_at_least="severe"),
        Rule("severe heat soon", "15%", headroom_at_least=1.0),
        Rule("battery nearly empty", "15%", battery_below=0.15, charging=False),
        Rule("power saving", "25%", power_saving=True),
        Rule("moderate heat", "40%", thermal_at_least="moderate"),
        Rule("heat rises", "40%", headroom_at_least=0.9),
        Rule("battery low", "50%", battery_below=0.4, charging=False),
        Rule("busy", "50%", load_at_least=0.9),
    ),
    "100%",
)
"""Levels between a task's smallest network and its largest, so that it fits any device and bundle. Budgets ascend, so
a cooler, fuller or calmer device never gets less."""
