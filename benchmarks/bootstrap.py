"""Intervals over drawings: views of one drawing, and superclasses of one table, are not independent samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def mean_over_superclasses(values: Array, superclass: npt.NDArray[np.int64]) -> float:
    """Mean over superclasses of the mean over their drawings."""
    return float(np.mean([values[superclass == t].mean() for t in np.unique(superclass)]))


def interval(
    values: Array, superclass: npt.NDArray[np.int64] | None = None, *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean over superclasses with its 95% bootstrap interval, drawings resampled within each superclass.

    Args:
        values: [N], one number a drawing (a mean over its views, or a paired difference).
        superclass: [N], which superclass each drawing is of; by default all count as one.
    """
    if superclass is None:
        superclass = np.zeros(len(values), np.int64)
    rng = np.random.default_rng(seed)
    means = np.zeros(draws)
    owners = np.unique(superclass)
    for t in owners:
        mine = values[superclass == t]
        means += mine[rng.integers(len(mine), size=(draws, len(mine)))].mean(1) / len(owners)
    low, high = np.percentile(means, [2.5, 97.5])
    return mean_over_superclasses(values, superclass), float(low), float(high)
