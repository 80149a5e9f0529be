"""The adaptive session on real networks: what an application relies on while the device changes."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from settable_device import CALM, HOT, IMAGES, POLICY, Device

from eas_sdk import Budget, Runtime
from eas_sdk.adaptive.session import Session
from eas_sdk.device.policy import Policy
from eas_sdk.device.state import DeviceState
from eas_sdk.errors import BudgetError, ImageError, InputError, TaskError


def test_it_predicts_as_the_network_does_that_the_policy_allows(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    session = start()
    expected = runtime.specialize("birds", "2M")
    assert session.model.architecture == expected.architecture
    np.testing.assert_array_equal(session.logits(IMAGES), expected.logits(IMAGES))
    assert session.predict(IMAGES, top_k=2) == expected.predict(IMAGES, top_k=2)
    answer = session.answer(IMAGES)
    np.testing.assert_array_equal(answer.logits, expected.logits(IMAGES))
    assert answer.model is session.model
    assert answer.elapsed_ms > 0
    assert session.counters.predictions == 3
    assert session.budget == Budget(madds=2_000_000)
    assert session.decision.rule_name == "otherwise"
    assert session.counters.switches == 0
    assert session.switches == ()


def test_a_smaller_budget_is_met_at_once_and_a_larger_one_after_the_dwell(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    session = start(dwell_s=3)
    large = session.model
    device.state = HOT
    session.refresh()
    small = session.model
    assert small.architecture == runtime.specialize("birds", "600k").architecture
    device.state = CALM
    for device.now in (10.0, 11.0, 12.9):
        session.refresh()
        assert session.model is small
        assert session.decision.rule_name == "otherwise"
    device.now = 13.0
    session.refresh()
    assert session.model is large  # from the cache
    first, second = session.switches
    assert (first.before_madds, first.after_madds, first.cached) == (large.madds, small.madds, False)
    assert (second.before, second.after, second.cached) == (small.architecture, large.architecture, True)
    assert (first.time_s, second.time_s) == (0, 13)
    assert first.build_ms > 0 == second.build_ms
    assert first.switch_ms >= first.build_ms
    assert second.switch_ms >= second.swap_us / 1e3 > 0
    assert first.budget == Budget(madds=600_000)
    assert "hot" in str(first)
    counters = session.counters
    assert (counters.switches, counters.builds, counters.cache_hits, counters.failures) == (2, 2, 1, 0)
    assert counters.last_switch_ms == second.switch_ms
    assert counters.cached_networks == 2


def test_a_state_that_hovers_does_not_flap(start: Callable[..., Session], device: Device) -> None:
    session = start(dwell_s=0)
    for step in range(40):
        device.now, device.state = float(step), DeviceState(battery=0.42 if step % 2 else 0.38)
        session.refresh()
    assert session.counters.switches == 1
    assert session.counters.decisions == 41


def test_a_state_that_swings_too_fast_for_the_dwell_settles_on_the_smaller(
    start: Callable[..., Session], device: Device
) -> None:
    session = start(dwell_s=3)
    for step in range(40):
        device.now, device.state = float(step), HOT if step % 3 == 0 else CALM
        session.refresh()
    assert session.counters.switches == 1
    assert session.model.madds <= 600_000


def test_a_target_with_a_decimal_comma_is_refused_and_not_taken_for_a_tiny_one(
    start: Callable[..., Session], runtime: Runtime
) -> None:
    with pytest.raises(BudgetError, match=r"'8,5M'"):
        start(target="8,5M")
    with pytest.raises(BudgetError, match=r"'8,5M'"):
        runtime.adaptive("birds", target="8,5M")
    session = start(target="600k")
    with pytest.raises(BudgetError, match=r"'8,5M'"):
        session.target = "8,5M"
    assert session.target == Budget(madds=600_000)


def test_the_application_gets_what_it_asks_for_at_once(start: Callable[..., Session], runtime: Runtime) -> None:
    session = start(target="600k", dwell_s=3600)
    assert session.target == Budget(madds=600_000)
    assert session.model.madds <= 600_000
    session.target = 1_500_000
    session.refresh()
    assert session.model.architecture == runtime.specialize("birds", "1.5M").architecture
    session.target = None
    session.refresh()
    assert session.model.architecture == runtime.specialize("birds", "2M").architecture
    session.policy = Policy((), "700k")
    session.refresh()
    assert session.model.architecture == runtime.specialize("birds", "700k").architecture
    session.task = "tools"
    session.refresh()
    assert session.task == session.model.task
    assert session.model.labels == runtime.labels("tools")
    assert session.switches[-1].task == "tools"
    for name, wrong, error in (("task", "tool", TaskError), ("target", "x", BudgetError)):
        with pytest.raises(error):
            setattr(session, name, wrong)
    session.refresh()
    assert session.model.labels == runtime.labels("tools")


def test_what_the_application_asks_for_is_done_without_waiting_for_the_poll(start: Callable[..., Session]) -> None:
    switched = threading.Event()
    session = start(on_switch=lambda _: switched.set())
    for name, value in (("target", "700k"), ("task", "insects"), ("policy", Policy((), "600k"))):
        switched.clear()
        setattr(session, name, value)
        assert switched.wait(10)


def test_it_looks_at_the_device_at_every_poll(start: Callable[..., Session], device: Device) -> None:
    switched = threading.Event()
    start(poll_s=0.001, on_switch=lambda _: switched.set())
    device.state = HOT
    assert switched.wait(10)


def test_threads_predict_while_it_switches(runtime: Runtime, start: Callable[..., Session], device: Device) -> None:
    """Every answer is that of the network it names, and some are of each."""
    budgets = ["600k", "900k", "1.2M"]
    session = start(target="600k", cache_bytes=3_000_000)
    possible = {m.architecture: m for m in (runtime.specialize("birds", budget) for budget in budgets)}
    expected = {a: [m.logits(IMAGES[i : i + 1]) for i in range(3)] for a, m in possible.items()}
    stop = threading.Event()

    def work(index: int) -> set[Any]:
        seen = set()
        while not stop.is_set():
            answer = session.answer(IMAGES[index : index + 1])
            np.testing.assert_array_equal(answer.logits, expected[answer.model.architecture][index])
            seen.add(answer.model.architecture)
        return seen

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(work, index) for index in range(3)]
        try:
            for step in range(1, 8):
                session.target = budgets[step % 3]
                session.refresh()
        finally:
            stop.set()
        seen = set().union(*(future.result() for future in futures))
    assert session.counters.switches == 7
    assert len(seen) == len(budgets)


def test_predictions_are_counted_across_threads(start: Callable[..., Session]) -> None:
    session = start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: session.predict(IMAGES[:1]), range(100)))
    assert [session.counters.predictions for _ in range(3)] == [100] * 3


def test_malformed_images_are_refused_and_do_not_count(start: Callable[..., Session]) -> None:
    session = start()
    for wrong in (IMAGES[0, 0], None):
        with pytest.raises(ImageError):
            session.predict(wrong)
    assert session.counters.predictions == 0


def test_the_cache_is_bounded(start: Callable[..., Session], runtime: Runtime) -> None:
    session = start(cache_bytes=8_000_000)
    for thousands in range(600, 2000, 50):
        session.target = f"{thousands}k"
        session.refresh()
        assert session.counters.cached_bytes <= 8_000_000
    assert session.counters.evictions > 0
    assert session.counters.cached_networks == session.counters.builds - session.counters.evictions


def test_closing(start: Callable[..., Session]) -> None:
    with start() as session:
        before = session.predict(IMAGES)
    session.close()
    assert not session._worker.alive
    assert session.predict(IMAGES) == before
    with pytest.raises(InputError, match="closed"):
        session.refresh()


def test_a_session_that_is_forgotten_ends_its_thread(runtime: Runtime) -> None:
    session = Session(runtime, "birds", policy=POLICY, poll_s=60)
    session.refresh()
    worker, controller = session._worker, weakref.ref(session._controller)
    del session
    gc.collect()
    assert controller() is None
    worker._thread.join(10)
    assert not worker.alive


@pytest.mark.parametrize(
    "options",
    [
        {"poll_s": 0},
        {"poll_s": math.nan},
        {"dwell_s": -1},
        {"cache_bytes": -1},
        {"cache_bytes": True},
        {"engine": "nunpy"},
        {"threads": 0},
        {"target": ""},
        {"task": "bird"},
    ],
)
def test_malformed_arguments_are_refused(start: Callable[..., Session], options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        start(**options)
    assert [thread.name for thread in threading.enumerate() if "adaptive" in thread.name] == []
