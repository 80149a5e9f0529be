"""Dwelling: smaller budgets at once, larger ones after a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.adaptive.dwell import Adoption, adopt
from eas_sdk.budget import Budget

BUDGETS = st.builds(
    lambda madds, level: Budget(madds=madds, level=level), st.none() | st.integers(1, 5), st.sampled_from([0.25, 0.5])
)


def follow(wishes: list[str], start: str = "4M", dwell_s: float = 3) -> list[str]:
    """The budgets in force after one wish a second."""
    adoption, budgets = Adoption(Budget.parse(start)), []
    for second, wish in enumerate(wishes):
        adoption = adopt(adoption, Budget.parse(wish), float(second), dwell_s)
        budgets.append(str(adoption.budget))
    return budgets


def test_a_smaller_budget_is_adopted_at_once() -> None:
    assert follow(["3M", "1M"]) == ["3.00M", "1.00M"]


def test_a_larger_budget_is_adopted_once_the_wish_has_lasted() -> None:
    assert follow(["5M"] * 5) == ["4.00M", "4.00M", "4.00M", "5.00M", "5.00M"]
    assert follow(["5M"], dwell_s=0) == ["5.00M"]


def test_a_wish_that_is_interrupted_starts_again() -> None:
    assert follow(["5M", "5M", "4M", "5M", "5M", "5M", "5M"])[-2:] == ["4.00M", "5.00M"]
    assert follow(["5M", "4M"] * 10) == ["4.00M"] * 20


def test_a_wish_in_another_unit_starts_anew() -> None:
    wishes = ["5M and 8ms", "5M and 8ms", *["4M and 9ms"] * 4]
    assert follow(wishes, start="4M and 8ms")[-2:] == ["4.00M and 8 ms", "4.00M and 9 ms"]


def test_nothing_waits_where_nothing_larger_is_wished() -> None:
    four = Budget.parse("4M")
    assert adopt(Adoption(four, Budget.parse("5M"), 1.0), four, 2.0, 3.0) == Adoption(four)


def test_the_smallest_of_the_wishes_is_adopted() -> None:
    assert follow(["9M", "6M", "7M", "8M"])[-1] == "6.00M"


def test_a_bound_that_is_smaller_in_another_unit_holds_at_once() -> None:
    assert follow(["5M and 8ms"] * 4) == ["4.00M and 8 ms"] * 3 + ["5.00M and 8 ms"]


def test_a_bound_that_is_no_longer_wished_is_dropped_after_the_dwell() -> None:
    assert follow(["4M"] * 4, start="4M and 8ms") == ["4.00M and 8 ms"] * 3 + ["4.00M"]


@given(st.lists(BUDGETS, min_size=1, max_size=30), st.integers(1, 4))
def test_what_is_adopted_was_wished_throughout_the_dwell(wishes: list[Budget], dwell_s: int) -> None:
    adoption = Adoption(wishes[0])
    for now, wish in enumerate(wishes):
        before, adoption = adoption, adopt(adoption, wish, float(now), dwell_s)
        assert adoption.budget & wish == adoption.budget  # never more than the wish of now
        if adoption.budget & before.budget != adoption.budget:  # grew
            window = wishes[now - dwell_s : now + 1]
            assert len(window) == dwell_s + 1
            assert all(adoption.budget & earlier == adoption.budget for earlier in window)
