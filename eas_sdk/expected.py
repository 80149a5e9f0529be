"""How often a network is expected to be right: what the bundle's own training measured, at its cost."""

from __future__ import annotations

import numpy as np

from eas_sdk.bank.bundle import Bundle
from eas_sdk.task import Task


def expected_accuracy(bundle: Bundle, task: Task, madds: int) -> float | None:
    """Top-1 among the task's labels on images that show one of them, interpolated between the measured budgets.

    It is told of single superclasses and of all classes together, which are measured; None for other tasks, and where
    the bundle carries no figures.

    Args:
        madds: multiply-adds of the network.
    """
    rows = bundle.training.get("accuracy")
    if not isinstance(rows, list):
        return None
    points = sorted(point for row in rows if (point := _point(bundle, task, row)) is not None)
    if not points:
        return None
    costs, values = zip(*points, strict=True)
    return float(np.interp(madds, costs, values))


def answers_of(bundle: Bundle) -> str:
    """The network whose answers were the labels that accuracy was measured by, in place of people's; "" for none."""
    name = bundle.training.get("answers_of")
    return name if isinstance(name, str) else ""


def _point(bundle: Bundle, task: Task, row: object) -> tuple[float, float] | None:
    """Multiply-adds and accuracy of a measured budget; None where it does not say them of the task."""
    if not isinstance(row, dict):
        return None
    value: object = None
    if len(task.classes) == len(bundle.labels):
        value = row.get("test_top1_of_all")
    elif len(task.shares) == 1:
        superclass = bundle.superclasses[task.shares[0][0]]
        known = row.get("test_top1_by_superclass")
        if set(task.labels) == set(superclass.labels) and isinstance(known, dict):
            value = known.get(superclass.name)
    cost = row.get("mean_madds")
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in (cost, value)):
        return None
    return float(cost), float(value)  # type: ignore[arg-type]  # both are numbers, as the line above says
