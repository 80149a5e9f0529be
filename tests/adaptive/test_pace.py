"""Pacing: turns and rests of one thread, and nothing else of the process changes."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from eas_sdk.adaptive import pace
from eas_sdk.adaptive.pace import TURN_S, paced


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that rested, in order."""
    taken: list[int] = []
    monkeypatch.setattr(pace, "rest", lambda seconds: taken.append(threading.get_ident()))
    return taken


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_thread_rests_after_each_turn(rests: list[int]) -> None:
    with paced(lambda: True):
        busy(20 * TURN_S)
    assert 1 <= len(rests) <= 20
    assert set(rests) == {threading.get_ident()}


def test_it_does_not_rest_without_need_or_within_its_turn(rests: list[int]) -> None:
    with paced(lambda: False):
        busy(5 * TURN_S)
    with paced(lambda: True):
        pass
    busy(5 * TURN_S)
    assert rests == []


def test_other_threads_go_on(rests: list[int]) -> None:
    other = threading.Thread(target=busy, args=(0.02,))
    with paced(lambda: True):
        other.start()
        busy(5 * TURN_S)
        other.join()
    assert other.ident not in rests
    assert rests


def test_results_and_errors_pass_through() -> None:
    with paced(lambda: True):
        assert sum(range(10**5)) == 4999950000
    with pytest.raises(KeyError), paced(lambda: True):
        raise KeyError
    assert sys.getprofile() is None


def test_a_profiler_is_left_alone(rests: list[int]) -> None:
    seen = []

    def profiler(*event: object) -> None:
        seen.append(event)

    sys.setprofile(profiler)
    try:
        with paced(lambda: True):
            busy(5 * TURN_S)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert rests == []
    assert seen


def test_the_switch_interval_of_the_process_stays() -> None:
    before = sys.getswitchinterval()
    with paced(lambda: True):
        assert sys.getswitchinterval() == before
