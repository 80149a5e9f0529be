"""Every error that this package raises on purpose.

::

    EasError (Exception)
    ├── InputError (ValueError)          what the caller passed
    │   ├── TaskError                    unknown, empty or duplicate superclass
    │   ├── BudgetError                  a budget that cannot be read
    │   │   └── InfeasibleBudget         readable, but no network meets it; names the nearest feasible
    │   ├── ImageError                   wrong shape, dtype, range or not finite
    │   └── ArchitectureError            not a member of the search space
    ├── BundleError (ValueError)         a bundle file that is cut, altered, or of another version
    ├── TableError (ValueError)          a latency table, power table or policy that cannot be read, or does not fit
    ├── DeviceError (RuntimeError)       a device that is gone, refuses, is too hot, or answers what cannot be read
    ├── DataError (ValueError)           training data that is missing, malformed or fails its checksum
    ├── ExportError (RuntimeError)       a written file that does not compute what the numpy engine computes
    ├── TrainingError (RuntimeError)     a training that cannot go on (diverged, checkpoint of another recipe)
    └── MissingDependency (ImportError)  an optional package is absent; names the extra that brings it

Messages give the rule, the offending value, and what would be allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from eas_sdk._version import DISTRIBUTION

if TYPE_CHECKING:
    from eas_sdk.budget import Budget


class EasError(Exception):
    """Base of every error raised on purpose by eas_sdk, eas_exporters and eas_train."""


class InputError(EasError, ValueError):
    """The caller passed something that the documented rules do not allow."""


class TaskError(InputError):
    """A task that is unknown, empty or holds duplicates."""


class BudgetError(InputError):
    """A budget that cannot be read: wrong type, unit or sign, or not finite."""


class InfeasibleBudget(BudgetError):
    """A readable budget that no network of the task meets.

    Attributes:
        nearest: the budget with its bounds raised, where they must be, to what the smallest network takes.
    """

    def __init__(self, message: str, *, nearest: Budget) -> None:
        super().__init__(message)
        self.nearest = nearest

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are rebuilt from their positional arguments alone, in process pools for one.
        return _infeasible, (self.args[0], self.nearest)


class ImageError(InputError):
    """Images of a wrong shape, dtype or range, or holding NaN."""


def _infeasible(message: str, nearest: Budget) -> InfeasibleBudget:
    return InfeasibleBudget(message, nearest=nearest)


class ArchitectureError(InputError):
    """An architecture that is not a member of its search space."""


class BundleError(EasError, ValueError):
    """A bundle file that is truncated, altered, malformed or of an unknown version."""


class TableError(EasError, ValueError):
    """A latency table, power table or policy that is malformed, of another version, or does not fit the networks."""


class DeviceError(EasError, RuntimeError):
    """A device that is gone, refuses, is too hot to measure, or answers what cannot be read."""


class DataError(EasError, ValueError):
    """Training data that is missing, malformed or does not match its checksum."""


class ExportError(EasError, RuntimeError):
    """A written file that does not compute what the numpy engine computes."""


class TrainingError(EasError, RuntimeError):
    """A training that cannot go on."""


class MissingDependency(EasError, ImportError):
    """An optional package is not installed; the message names the extra that brings it.

    Args:
        message: what is needed for what.
        extra: of this distribution, which brings it; the message then ends in the command that installs it.
    """

    def __init__(self, message: str, extra: str | None = None) -> None:
        super().__init__(f"{message}; {install_hint(extra)}" if extra else message)


def install_hint(extra: str) -> str:
    """The command that installs an extra of this distribution."""
    return f"install the extra `{extra}`: pip install '{DISTRIBUTION}[{extra}]'"


def closest(name: object, known: Iterable[str], limit: int = 3) -> str:
    """A phrase naming the entries of `known` nearest to `name`, for the end of an error message."""
    options = list(known)
    near = difflib.get_close_matches(str(name).lower(), options, n=limit, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    shown = ", ".join(repr(n) for n in options[:20])
    return f"known: {shown}" + (", ..." if len(options) > 20 else "")
