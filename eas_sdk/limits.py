"""From a budget to what a selector keeps to, and to what is told where no network meets it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from eas_sdk.budget import Budget, format_madds
from eas_sdk.device.power import DEFAULT, PowerTable
from eas_sdk.errors import InfeasibleBudget, TableError
from eas_sdk.graph.memory import MODELS, MemoryModel
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.table import LatencyTable
from eas_sdk.selector.protocol import Limit, Request, Selector
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import CostTable, madds_table, memory_table
from eas_sdk.task import Task

ROUNDING = 1e-9
"""Milliseconds and millijoules are sums, which differ by less in another order: what a model states of itself is a
budget that it meets."""


@dataclass(frozen=True, eq=False)
class Costs:
    """What networks cost on a device.

    Attributes:
        latency: of an engine there; None where no budget asks for time or energy.
        power: what the processor takes while it runs.
        memory: how the engine holds weights and activations.
    """

    latency: LatencyTable | None = None
    power: PowerTable = DEFAULT
    memory: MemoryModel = MODELS["numpy"]

    @property
    def mj_per_ms(self) -> float:
        """Energy of a millisecond in which a network runs."""
        assert self.latency is not None
        return self.power.energy_mj(1.0, self.latency.conditions.threads)


def request(selector: Selector, task: Task, budget: Budget, costs: Costs) -> Request:
    """What a selector is asked; bounds that every network of the space meets are left out.

    Raises:
        InfeasibleBudget: every network of the selector is above one of the bounds.
        TableError: time or energy is bounded, and there is no latency table, or it lacks a segment of the space.
    """
    space, classes = selector.space, len(task.classes)
    low, high = selector.madds_range(classes)
    allowed = [high if budget.madds is None else budget.madds]
    if budget.level is not None:
        allowed.append(low + round(budget.level * (high - low)))
    tables = _tables(space, classes, budget, costs)
    if not tables and low <= min(allowed):  # of multiply-adds alone, the range says what can be met
        return Request(task.shares, classes, min(allowed))
    bounds = {"madds": Limit(madds_table(space), min(allowed))}
    for name, table in tables.items():
        most = getattr(budget, name)
        bounds[name] = Limit(table, most * (1 + ROUNDING) if isinstance(most, float) else most)
    best = space.encode([selector.nearest(classes, list(bounds.values()))])
    raised: dict[str, Any] = {}
    limits = []
    for name, limit in bounds.items():
        (least,) = limit.table.total(space, best, classes).tolist()
        if least > limit.most:
            raised |= _raised(name, least, budget, low, high)
        if name != "madds" and selector.binds(limit, classes):
            limits.append(limit)
    if raised:
        takes = " and ".join(_text(name, value) for name, value in raised.items())
        nearest = replace(budget, **raised)
        raise InfeasibleBudget(
            f"the smallest network for {task.name!r} takes {takes}; the nearest feasible budget is {exact(nearest)!r}; "
            f"got {budget}",
            nearest=nearest,
        )
    return Request(task.shares, classes, min(allowed), tuple(limits))


def _raised(name: str, least: float, budget: Budget, low: int, high: int) -> dict[str, Any]:
    """The bounds that are to be raised for a network of such a cost to meet them."""
    if name != "madds":
        return {name: _rounded_up(least, type(getattr(budget, name)))}
    raised: dict[str, Any] = {}
    if budget.level is not None and low + round(budget.level * (high - low)) < least:
        raised["level"] = min(1.0, _rounded_up((least - low) / (high - low), float))
    if budget.level is None or (budget.madds is not None and budget.madds < least):
        raised["madds"] = int(least)
    return raised


def exact(budget: Budget) -> str:
    """A budget as `Budget.parse` reads it back, not rounded."""
    return " and ".join(_exact(name, value) for name, value in budget.bounds.items())


def _tables(space: Space, classes: int, budget: Budget, costs: Costs) -> dict[str, CostTable]:
    """The costs that a budget bounds beside multiply-adds, by the names of its fields."""
    found: dict[str, CostTable] = {}
    if budget.memory_bytes is not None:
        found["memory_bytes"] = memory_table(space, costs.memory)
    if budget.latency_ms is None and budget.energy_mj is None:
        return found
    if costs.latency is None:
        raise TableError(f"a budget in time or energy needs a latency table; got {budget} and none")
    if budget.latency_ms is not None:
        found["latency_ms"] = choice_table(space, costs.latency, classes)
    if budget.energy_mj is not None:
        found["energy_mj"] = choice_table(space, costs.latency, classes, costs.mj_per_ms)
    return found


def _rounded_up(value: float, kind: type) -> float:
    """The next number of four digits: what a message shows is then feasible as well."""
    unit = Fraction(10) ** (math.floor(math.log10(value)) - 3)
    rounded = math.ceil(Fraction(value) / unit) * unit
    return math.ceil(rounded) if kind is int else float(rounded)


def _text(name: str, value: float) -> str:
    if name == "madds":
        return f"{value} multiply-adds ({format_madds(int(value))})"
    return str(Budget(**{name: value}))  # type: ignore[arg-type]


def _exact(name: str, value: float) -> str:
    """A bound as `Budget.parse` reads it back, not rounded."""
    match name:
        case "madds":
            return str(value)
        case "latency_ms":
            return f"{value!r} ms"
        case "energy_mj":
            return f"{value!r} mJ"
        case "memory_bytes":
            return f"{value / 1e6!r} MB"
    percent = Decimal(repr(value)).scaleb(2)
    return f"{percent}%" if 0 < value < 1e-9 else f"{percent:f}%"
