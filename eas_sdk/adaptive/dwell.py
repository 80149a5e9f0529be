"""Dwelling: a smaller budget is adopted at once, a larger one after the wish for it has lasted.

Too large a network costs heat, battery or time right away; too small a one costs a little accuracy for a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from eas_sdk.budget import Budget


@dataclass(frozen=True)
class Adoption:
    """The budget in force, and the one that waits.

    Attributes:
        budget: in force.
        pending: what all wishes since `since` allow, where that is larger in some unit; None where nothing waits.
        since: when it began to wait, in seconds of the caller's clock.
    """

    budget: Budget
    pending: Budget | None = None
    since: float = 0.0


def adopt(current: Adoption, wish: Budget, now: float, dwell_s: float) -> Adoption:
    """The adoption after one more wish, at time `now` in seconds.

    Of a wish that is larger in one unit and smaller in another, the smaller bound is adopted at once.
    """
    smaller = current.budget & wish
    if smaller == wish:
        return Adoption(wish)
    pending, since = wish, now
    if current.pending is not None:
        common = current.pending & wish
        if smaller & common != common:  # larger than what is in force still
            pending, since = common, current.since
    if now - since >= dwell_s:
        return Adoption(pending)
    return Adoption(smaller, pending, since)
