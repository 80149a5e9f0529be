"""The demo's budget in force: sliders at once, policies with dwelling, bounds in time by what frames take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_demo.choice import UNITS, Choice
from eas_demo.loop import DWELL_S, FRAME_MS, Loop, fed, step
from eas_sdk.budget import Budget
from eas_sdk.device.state import THERMAL, DeviceState
from eas_sdk.errors import BudgetError

CALM = DeviceState(battery=1.0, charging=False, power_saving=False, thermal="none")
LOW = DeviceState(battery=0.1, charging=False, power_saving=False, thermal="none")
AUTO = Choice("birds", "auto")


def steps(choices: list[tuple[Choice, DeviceState, float]], *, timed: bool = False) -> Loop:
    loop = None
    for choice, state, now_s in choices:
        loop = step(loop, choice, state, now_s, timed=timed)
    assert loop is not None
    return loop


@pytest.mark.parametrize(
    ("choice", "budget"),
    [
        (Choice("birds", "madds", 4e6), Budget(madds=4_000_000)),
        (Choice("birds", "ms", 1.5), Budget(latency_ms=1.5)),
        (Choice("birds", "ms", 1e-5), Budget(latency_ms=1e-5)),
        (AUTO, None),
    ],
)
def test_the_slider_in_each_unit(choice: Choice, budget: Budget | None) -> None:
    assert choice.budget == budget


@pytest.mark.parametrize(("unit", "value"), [("madds", -1.0), ("madds", float("nan")), ("ms", 0.0), ("parrots", 1.0)])
def test_a_slider_that_says_nothing_is_told(unit: str, value: float) -> None:
    with pytest.raises(BudgetError, match=r"slider|budget"):
        Choice("birds", unit, value)


def test_the_user_s_wish_holds_at_once_in_both_directions() -> None:
    small, large = Choice("birds", "madds", 4e6), Choice("birds", "madds", 9e6)
    loop = steps([(small, CALM, 0.0), (large, CALM, 0.1)])
    assert loop.adoption.budget == Budget(madds=9_000_000)
    assert step(loop, small, CALM, 0.2, timed=False).adoption.budget == Budget(madds=4_000_000)


def test_auto_follows_the_battery_down_at_once_and_up_after_a_while() -> None:
    full = steps([(AUTO, CALM, 0.0)])
    assert full.adoption.budget == Budget(level=1.0)
    empty = step(full, AUTO, LOW, 1.0, timed=False)
    assert empty.adoption.budget == Budget(level=0.15)
    assert "battery nearly empty" in empty.reason
    charged = step(empty, AUTO, CALM, 2.0, timed=False)
    assert charged.adoption.budget == Budget(level=0.15)
    assert step(charged, AUTO, CALM, 2.0 + DWELL_S, timed=False).adoption.budget == Budget(level=1.0)


def test_with_a_table_auto_keeps_to_the_time_of_a_frame() -> None:
    assert steps([(AUTO, CALM, 0.0)], timed=True).adoption.budget == Budget(level=1.0, latency_ms=FRAME_MS)


def test_frames_that_take_longer_than_predicted_shrink_bounds_in_time_alone() -> None:
    loop = steps([(Choice("birds", "ms", 2.0), CALM, 0.0)], timed=True)
    slow = step(fed(loop, [3.0] * 12, 1.0), loop.choice, CALM, 1.0, timed=True)
    assert slow.adoption.budget.latency_ms == pytest.approx(2 / 3, rel=0.06)
    assert slow.budget.latency_ms == pytest.approx(2.0)
    assert "times what the table says" in slow.reason
    counted = Choice("birds", "madds", 5e6)
    assert step(slow, counted, CALM, 2.0, timed=True).adoption.budget == Budget(madds=5_000_000)


def test_noise_of_single_frames_changes_nothing() -> None:
    loop = steps([(Choice("birds", "ms", 2.0), CALM, 0.0)], timed=True)
    after = step(fed(loop, [1.0, 9.0, 1.0, 0.98, 1.02, float("nan"), 0.0], 1.0), loop.choice, CALM, 1.0, timed=True)
    assert after.adoption.budget == Budget(latency_ms=2.0)


def test_a_factor_is_used_once_it_has_arrived() -> None:
    """Acting earlier would be acting on half a step, twice."""
    loop = steps([(Choice("birds", "ms", 2.0), CALM, 0.0)], timed=True)
    halfway = step(fed(loop, [4.0] * 3, 1.0), loop.choice, CALM, 1.0, timed=True)
    assert halfway.feedback.scale > 1.3
    assert halfway.adoption.budget == Budget(latency_ms=2.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(UNITS), st.floats(0.5, 1e7), st.floats(0, 1), st.booleans(), st.sampled_from(THERMAL)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_a_wish_of_the_user_is_never_exceeded(wishes: list[tuple[str, float, float, bool, str]]) -> None:
    loop = None
    for now_s, (unit, value, battery, charging, thermal) in enumerate(wishes):
        choice = Choice("birds", unit, value)
        state = DeviceState(battery=battery, charging=charging, thermal=thermal)
        loop = step(loop, choice, state, float(now_s), timed=True)
        if choice.budget is not None:
            assert loop.adoption.budget & choice.budget == loop.adoption.budget
