"""The documented tree of errors is the tree that exists."""

from __future__ import annotations

import inspect
import pickle
import re

import eas_sdk
from eas_sdk import errors
from eas_sdk.budget import Budget
from eas_sdk.errors import InfeasibleBudget

LINE = re.compile(r"    (?P<branch>[│├└─ ]*)(?P<name>\w+)(?: \((?P<base>\w+)\)| {2})")


def documented() -> dict[str, set[str]]:
    """Each error of the docstring with the names of its bases: the error above it, and what stands in brackets."""
    found: dict[str, set[str]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["branch"]) // 4  # a branch is "├── " or "│   "
            found[match["name"]] = {base for base in (match["base"], *above[depth - 1 : depth]) if base}
            above[depth:] = [match["name"]]
    return found


def test_the_documented_tree_is_the_tree_that_exists() -> None:
    classes = {
        name: {base.__name__ for base in value.__bases__}
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert documented() == classes
    assert len(classes) > 8


def test_the_package_exports_the_errors_that_its_functions_raise() -> None:
    ours = {"EasError", "InputError", "TaskError", "BudgetError", "InfeasibleBudget", "ImageError"}
    assert ours | {"ArchitectureError", "BundleError", "MissingDependency"} <= set(eas_sdk.__all__)
    for name in ours:
        assert getattr(eas_sdk, name) is getattr(errors, name)


def test_an_infeasible_budget_survives_a_process_boundary() -> None:
    again = pickle.loads(pickle.dumps(InfeasibleBudget("too small", nearest=Budget(7))))
    assert (str(again), again.nearest) == ("too small", Budget(7))
