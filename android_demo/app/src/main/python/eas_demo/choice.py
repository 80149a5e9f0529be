"""What the user asks for: a task, and a budget in the unit of the slider."""

from __future__ import annotations

from dataclasses import dataclass

from eas_sdk.budget import Budget
from eas_sdk.errors import BudgetError

MADDS, MS, AUTO = "madds", "ms", "auto"
UNITS = (MADDS, MS, AUTO)


@dataclass(frozen=True)
class Choice:
    """A task and a budget.

    Attributes:
        task: name of a superclass.
        unit: "madds", "ms", or "auto": what the device's state allows.
        value: the budget in that unit; of "auto" it means nothing.

    Raises:
        BudgetError: an unknown unit, or no positive value.
    """

    task: str
    unit: str
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise BudgetError(f"the unit of the slider is one of {', '.join(UNITS)}; got {self.unit!r}")
        if self.unit != AUTO:
            _ = self.budget  # raises where the value is none

    @property
    def budget(self) -> Budget | None:
        """What the slider says; None for "auto"."""
        if self.unit == AUTO:
            return None
        return Budget.parse(self.value if self.unit == MADDS else f"{self.value!r} ms")
