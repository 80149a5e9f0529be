"""The closed loop: how much slower than its latency table a device is right now, as one factor.

Heat, load and power saving slow a device down, and its thermal status alone does not tell by how much. The times of
the predictions do: one factor, measured over predicted, holds for all networks of a device at a time, and what the
table may promise is divided by it, as LegoDNN scales its offline profiles (Han et al., MobiCom 2021).
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from dataclasses import dataclass

from eas_sdk.budget import Budget

SMOOTHING = 0.3
"""Weight of what is new. Of eight samples after a step, seven count (the median delays by one) and leave
0.7**7 = 8% of it: a factor that doubles is found within 6%."""

MEDIAN_OF = 3
"""Samples whose median is smoothed, so that a single outlier counts for little."""

LOWEST, HIGHEST = 0.2, 20.0

SETTLED = 1.1
"""Samples within this factor of the smoothed one say that it has arrived where they are."""

TOO_SLOW, FASTER = 1.05, 1.15
"""How far the factor may rise above the one in use, and fall below it, before it takes its place. A bound that is
missed is mended sooner than one that is not used up; and noise, which one sample in ten carries, stays inside."""


@dataclass(frozen=True)
class Feedback:
    """What the predictions so far say.

    Attributes:
        scale: measured over predicted milliseconds, smoothed; 1 where nothing has been measured.
        count: samples so far.
        recent: logarithms of the last ratios, oldest first; at the start, the table's own word.
    """

    scale: float = 1.0
    count: int = 0
    recent: tuple[float, ...] = (0.0,) * (MEDIAN_OF - 1)

    @property
    def settled(self) -> bool:
        """Whether the factor has caught up with the samples: acting earlier is acting on half a step."""
        return abs(statistics.median(self.recent) - math.log(self.scale)) < math.log(SETTLED)


def update(feedback: Feedback, measured_ms: float, predicted_ms: float) -> Feedback:
    """The factor after one more prediction: exponential smoothing of the log ratio, over the median of the last three.

    Times that are not positive and finite are left out.

    Args:
        measured_ms: what one image took.
        predicted_ms: what the latency table says of the network that took it.
    """
    if not (0 < measured_ms < math.inf and 0 < predicted_ms < math.inf):
        return feedback
    ratio = min(max(math.log(measured_ms) - math.log(predicted_ms), math.log(LOWEST)), math.log(HIGHEST))
    recent = (*feedback.recent, ratio)[-MEDIAN_OF:]
    before = math.log(feedback.scale)
    scale = math.exp(before + SMOOTHING * (statistics.median(recent) - before))
    return Feedback(min(max(scale, LOWEST), HIGHEST), feedback.count + 1, recent)


def moved(feedback: Feedback, used: Feedback) -> bool:
    """Whether the factor has left the band around the one in use (hysteresis)."""
    return feedback.scale > TOO_SLOW * used.scale or feedback.scale < used.scale / FASTER


def corrected(budget: Budget, feedback: Feedback) -> Budget:
    """What to ask the latency table for, so that the device as it is now keeps to `budget`.

    Time and, as energy is power times time, energy are divided by the factor; other bounds do not depend on it.
    """
    scale = feedback.scale
    return dataclasses.replace(
        budget,
        latency_ms=None if budget.latency_ms is None else budget.latency_ms / scale,
        energy_mj=None if budget.energy_mj is None else budget.energy_mj / scale,
    )
