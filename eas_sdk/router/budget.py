"""What a router takes of a budget, and the requests for the networks behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from eas_sdk.budget import Budget
from eas_sdk.errors import InfeasibleBudget
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.limits import Costs, exact, request
from eas_sdk.router.network import Router
from eas_sdk.selector.protocol import Request, Selector
from eas_sdk.task import Task

LEAST: dict[str, float] = {"madds": 0, "memory_bytes": 0, "latency_ms": 1e-9, "energy_mj": 1e-9}
"""What is left where the router alone takes more: no network meets it."""


def spent(router: Router, budget: Budget, costs: Costs, engine: str) -> dict[str, float]:
    """What the router costs, in the units that a budget bounds; a level is of the networks alone.

    Raises:
        TableError: the latency table lacks a block of the router.
    """
    found: dict[str, float] = {}
    nodes = router.nodes
    if budget.madds is not None:
        found["madds"] = router.cost.madds
    if budget.memory_bytes is not None:
        found["memory_bytes"] = memory_bytes(nodes, engine)
    if costs.latency is not None:
        latency_ms = costs.latency.latency_ms(nodes)
        if budget.latency_ms is not None:
            found["latency_ms"] = latency_ms
        if budget.energy_mj is not None:
            found["energy_mj"] = costs.mj_per_ms * latency_ms
    return found


def without(budget: Budget, costs: dict[str, float]) -> Budget:
    """What is left of a budget."""
    left: Any = {name: max(getattr(budget, name) - cost, LEAST[name]) for name, cost in costs.items()}
    return dataclasses.replace(budget, **left)


def requests_after(
    router_costs: dict[str, float], selector: Selector, tasks: Sequence[Task], budget: Budget, costs: Costs
) -> list[Request]:
    """What a selector is asked for the network of each task, where a router has taken its part of the budget.

    Args:
        router_costs: see `spent`; empty without a router.

    Raises:
        InfeasibleBudget: the router and the smallest network of a task are above one of the bounds.
        TableError: see `eas_sdk.limits.request`.
    """
    if not router_costs:
        return [request(selector, task, budget, costs) for task in tasks]
    left, made = without(budget, router_costs), []
    nearest = budget.bounds
    for task in tasks:
        try:
            made.append(request(selector, task, left, costs))
        except InfeasibleBudget as error:
            for name, value in error.nearest.bounds.items():
                nearest[name] = max(nearest[name], value + router_costs.get(name, 0))
    if nearest != budget.bounds:
        raised: Any = nearest
        feasible = Budget(**raised)
        raise InfeasibleBudget(
            f"the router and the smallest network of every superclass take more; the nearest feasible budget is "
            f"{exact(feasible)!r}; got {budget}",
            nearest=feasible,
        )
    return made
