"""The closed loop's factor: it finds the true one, stays in its bounds, and is not thrown by an outlier."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.adaptive.feedback import HIGHEST, LOWEST, Feedback, corrected, moved, update
from eas_sdk.budget import Budget

RATIOS = st.floats(LOWEST, HIGHEST)
TIMES = st.floats(allow_nan=True, allow_infinity=True)


def after(ratios: list[float], feedback: Feedback = Feedback()) -> Feedback:  # noqa: B008, a frozen value
    for ratio in ratios:
        feedback = update(feedback, 8.0 * ratio, 8.0)
    return feedback


@given(RATIOS, RATIOS)
def test_it_converges_to_the_true_ratio(before: float, now: float) -> None:
    settled = after([now] * 40, after([before] * 40))
    assert settled.scale == pytest.approx(now, rel=1e-3)
    assert settled.settled
    assert settled.count == 80


@given(st.floats(0.5, 5), st.sampled_from([2.0, 0.5]))
def test_a_step_of_two_is_found_within_ten_percent_in_eight_samples(before: float, step: float) -> None:
    steady = after([before] * 40)
    assert after([before * step] * 8, steady).scale == pytest.approx(before * step, rel=0.1)


def test_noise_is_halved() -> None:
    noise = np.random.default_rng(0).lognormal(0, 0.1, 1000)
    feedback, logs = after([1.0] * 10), []
    for factor in noise:
        feedback = after([factor], feedback)
        logs.append(math.log(feedback.scale))
    assert np.std(logs) < 0.05
    assert abs(np.mean(logs)) < 0.01


@given(RATIOS, st.floats(0, 1e12))
def test_one_outlier_moves_it_little(ratio: float, outlier: float) -> None:
    steady = after([ratio] * 40)
    assert after([outlier, *[ratio] * 3], steady).scale == pytest.approx(ratio, rel=1e-4)


@given(st.lists(st.tuples(TIMES, TIMES), max_size=30))
def test_it_stays_in_its_bounds_whatever_it_is_fed(times: list[tuple[float, float]]) -> None:
    feedback = Feedback()
    for measured, predicted in times:
        feedback = update(feedback, measured, predicted)
        assert LOWEST <= feedback.scale <= HIGHEST


@pytest.mark.parametrize("time", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_time_is_left_out(time: float) -> None:
    before = after([3.0] * 5)
    assert update(before, time, 1.0) == update(before, 1.0, time) == before


def test_the_first_samples_do_not_count_more_than_the_table() -> None:
    assert after([10.0]).scale == 1
    assert after([1.0, 1.0]) == Feedback(1.0, 2, (0.0, 0.0, 0.0))


def test_it_is_settled_before_and_after_a_step_and_not_within_it() -> None:
    assert Feedback().settled
    steps = [after([2.0] * n).settled for n in range(1, 12)]
    assert steps[1:5] == [False] * 4
    assert steps[8:] == [True] * 3


def test_the_band_around_the_factor_in_use() -> None:
    used = Feedback(2.0)
    assert [moved(Feedback(scale), used) for scale in (1.7, 1.75, 2.0, 2.09, 2.11)] == [True, False, False, False, True]


@given(st.floats(LOWEST, HIGHEST), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_time_and_energy_are_corrected_and_nothing_else(scale: float, ms: float, mj: float) -> None:
    whole = Budget(madds=10**6, latency_ms=ms, energy_mj=mj, memory_bytes=10**7, level=0.5)
    result = corrected(whole, Feedback(scale))
    assert (result.madds, result.memory_bytes, result.level) == (10**6, 10**7, 0.5)
    np.testing.assert_allclose([result.latency_ms * scale, result.energy_mj * scale], [ms, mj], rtol=1e-12)
    assert corrected(Budget(madds=5), Feedback(scale)) == Budget(madds=5)
