"""Elastic Architecture Search on the device: `specialize(task, budget)` cuts a network out of one weight bank.

>>> import eas_sdk
>>> model = eas_sdk.specialize("birds", "40M")  # doctest: +SKIP
>>> model.predict(images)[0].label  # doctest: +SKIP
'owl'

Needs numpy and nothing else.
"""

from __future__ import annotations

from eas_sdk._version import __version__
from eas_sdk.budget import Budget
from eas_sdk.errors import (
    ArchitectureError,
    BudgetError,
    BundleError,
    EasError,
    ImageError,
    InfeasibleBudget,
    InputError,
    MissingDependency,
    TaskError,
)
from eas_sdk.model import Model, Prediction
from eas_sdk.router.model import RoutedModel
from eas_sdk.runtime import Runtime, load, specialize
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.task import Superclass, Task

__all__ = [
    "Architecture",
    "ArchitectureError",
    "Block",
    "Budget",
    "BudgetError",
    "BundleError",
    "EasError",
    "ImageError",
    "InfeasibleBudget",
    "InputError",
    "MissingDependency",
    "Model",
    "Prediction",
    "RoutedModel",
    "Runtime",
    "Superclass",
    "Task",
    "TaskError",
    "__version__",
    "load",
    "specialize",
]
