"""The adaptive session on real networks: what an application relies on while the device changes."""

from __future__ import annotations

import dataclasses
import functools
import gc
import math
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Budget, Model, Runtime
from eas_sdk.adaptive.controller import RETRY_S
from eas_sdk.adaptive.records import Switch
from eas_sdk.adaptive.session import Session
from eas_sdk.device.policy import Policy, Rule
from eas_sdk.device.state import DeviceState
from eas_sdk.errors import BudgetError, EasError, ImageError, InfeasibleBudget, InputError, TableError, TaskError
from eas_sdk.graph.cost import cost, madds
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.segments import key
from eas_sdk.latency.store import table_path
from eas_sdk.latency.table import LatencyTable, write
from eas_sdk.space.structure import structure

SIDE = SPACE.input_size
IMAGES = np.random.default_rng(5).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)

POLICY = Policy(
    (
        Rule("hot", "600k", thermal_at_least="moderate"),
        Rule("battery low", "1M", battery_below=0.4),
    ),
    "2M",
)
CALM, LOW, HOT = DeviceState(), DeviceState(battery=0.3), DeviceState(thermal="severe")


class Device:
    """A state and a clock that a test sets."""

    def __init__(self) -> None:
        self.state: DeviceState | Exception = CALM
        self.now = 0.0

    def read(self) -> DeviceState:
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def start(runtime: Runtime, device: Device) -> Iterator[Callable[..., Session]]:
    """Makes sessions that decide when told to, and closes them."""
    made = []

    def start(task: Any = "birds", *, runtime: Runtime = runtime, **options: Any) -> Session:
        defaults = {"policy": POLICY, "poll_s": 60, "read_state": device.read, "clock": lambda: device.now}
        made.append(Session(runtime, task, **defaults | options))
        return made[-1]

    yield start
    for session in made:
        session.close()


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


def test_an_infeasible_target_falls_back_to_the_nearest_and_is_reported_once(
    runtime: Runtime, start: Callable[..., Session]
) -> None:
    errors: list[Exception] = []
    session = start(target="1k", on_error=errors.append)
    assert session.model.madds == runtime.budget_range("birds")[0]
    session.refresh()
    assert session.counters.infeasible == len(errors) == 1
    assert session.last_error is errors[0]
    assert isinstance(errors[0], InfeasibleBudget)
    session.target = "2k"
    session.refresh()
    session.target = "2M"
    session.refresh()
    session.target = "2k"
    session.refresh()
    assert session.counters.infeasible == len(errors) == 3
    assert session.counters.failures == 0


class Failing(Runtime):
    """A runtime whose next builds raise."""

    error: Exception | None = None

    def build(self, *args: Any, **options: Any) -> Model:
        if self.error is not None:
            raise self.error
        return super().build(*args, **options)


@pytest.mark.parametrize("error", [MemoryError(), OSError("disk"), EasError("bank"), ZeroDivisionError()])
def test_a_failed_rebuild_keeps_the_network_and_is_reported(
    runtime: Runtime, start: Callable[..., Session], device: Device, error: Exception
) -> None:
    errors: list[Exception] = []
    failing = Failing(runtime.bundle, runtime.selector)
    session = start(runtime=failing, on_error=errors.append)
    before = session.model
    object.__setattr__(failing, "error", error)
    device.state = HOT
    session.refresh()
    assert session.model is before
    assert errors == [error]
    assert session.last_error is error
    assert session.counters.failures == 1
    assert session.predict(IMAGES) == before.predict(IMAGES)
    object.__setattr__(failing, "error", None)
    session.refresh()
    assert session.model.madds <= 600_000
    assert session.counters.switches == 1


def test_a_network_that_failed_is_not_tried_at_every_poll(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    errors: list[Exception] = []
    failing = Failing(runtime.bundle, runtime.selector)
    session = start(runtime=failing, on_error=errors.append)
    poll = functools.partial(session._controller.work, forced=False)
    object.__setattr__(failing, "error", OSError())
    device.state = HOT
    for _ in range(10):
        poll()
    assert (len(errors), session.counters.decisions) == (1, 11)
    controller = session._controller
    controller.wanted = dataclasses.replace(controller.wanted)  # whatever the application asks for is a reason to try
    poll()
    assert len(errors) == 2
    poll()
    device.now = RETRY_S - 1
    poll()
    assert len(errors) == 2
    device.now = RETRY_S
    poll()
    assert len(errors) == 3


def test_where_memory_runs_out_the_cache_is_given_up(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    failing = Failing(runtime.bundle, runtime.selector)
    session = start(runtime=failing)
    for state, error, networks in ((LOW, None, 2), (HOT, MemoryError(), 1)):
        object.__setattr__(failing, "error", error)
        device.state = state
        session.refresh()
        assert session.counters.cached_networks == networks


def test_a_device_that_cannot_be_read_changes_nothing(start: Callable[..., Session], device: Device) -> None:
    session = start()
    before = session.model
    device.state = OSError("gone")
    session.refresh()
    assert session.model is before
    assert session.last_error is device.state
    device.state = HOT
    session.refresh()
    assert session.model is not before


def test_errors_of_callbacks_do_not_end_the_session(start: Callable[..., Session], device: Device) -> None:
    def fail(value: object) -> None:
        raise ZeroDivisionError

    session = start(on_switch=fail, on_error=fail)
    device.state = HOT
    session.refresh()
    assert isinstance(session.last_error, ZeroDivisionError)
    device.state = OSError()
    session.refresh()
    device.state = LOW
    device.now = 100.0
    session.refresh()
    device.now = 200.0
    session.refresh()
    assert session.counters.callback_errors == 3
    assert session.counters.switches == 2


def test_callbacks_may_use_the_session(start: Callable[..., Session], device: Device) -> None:
    seen: list[tuple[int, int, Switch]] = []

    def on_switch(switch: Switch) -> None:
        session.refresh()  # cannot wait for its own thread
        seen.append((session.model.madds, session.counters.switches, session.switches[-1]))
        session.close()

    session = start(on_switch=on_switch)
    device.state = HOT
    session.refresh()
    session.close()
    assert seen == [(session.model.madds, 1, session.switches[0])]


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
    for wrong in (IMAGES[0], None):
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


def table(largest_ms: float) -> LatencyTable:
    """Times in proportion to multiply-adds; the largest network takes so many milliseconds."""
    per_madd = largest_ms / cost(structure(SPACE, SPACE.largest, 3)).madds
    timings = {
        key(part): Timing(per_madd * sum(map(madds, part)), 0.0, 15) for part in space_segments(SPACE, (2, 3, 60))
    }
    return LatencyTable(conditions("numpy", 1), "2026-01-31", timings)


def predict_until(session: Session, condition: Callable[[], bool]) -> int:
    """How many predictions it took."""
    for count in range(100_000):
        if condition():
            return count
        session.predict(IMAGES[:1])
    raise AssertionError


def test_predictions_that_take_longer_than_predicted_shrink_the_network(
    runtime: Runtime, start: Callable[..., Session]
) -> None:
    # No processor is as fast as this table: predictions take more than 20 times as long, which is where the loop stops.
    runtime = dataclasses.replace(runtime, latency=table(0.001))
    session = start(runtime=runtime, policy=Policy((), "100%"), target="6us")
    before = session.model
    assert before.latency_ms > 0.006 / 20
    predict_until(session, lambda: session.model is not before)  # long before the poll
    predict_until(session, lambda: session.feedback.scale > 19.9)
    session.refresh()
    assert session.budget.latency_ms == pytest.approx(0.006 / 20, rel=0.06)
    assert session.model.latency_ms <= session.budget.latency_ms
    assert "times what the latency table says" in session.switches[-1].reason


def test_predictions_that_take_less_time_grow_it_after_the_dwell(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    runtime = dataclasses.replace(runtime, latency=table(1e6))
    session = start(runtime=runtime, policy=Policy((), "100%"), target="300s", dwell_s=3)
    before = session.model
    predict_until(session, lambda: session.feedback.scale < 0.21)
    session.refresh()
    assert session.model is before
    device.now = 3.0
    session.refresh()
    assert session.model.madds > before.madds
    assert session.budget.latency_ms == pytest.approx(5 * 300_000, rel=0.2)


def test_only_single_images_with_a_predicted_time_count(runtime: Runtime, start: Callable[..., Session]) -> None:
    session = start(runtime=dataclasses.replace(runtime, latency=table(1.0)))
    for images in (IMAGES[:1], IMAGES, IMAGES[:2], IMAGES[:1]):
        session.logits(images)
    assert session.feedback.count == 2
    session = start()
    session.logits(IMAGES[:1])
    assert session.feedback.count == 0


@pytest.fixture
def own_table() -> LatencyTable:
    """A table of this machine, where sessions find it."""
    path = table_path("numpy", 1)
    path.parent.mkdir(parents=True)
    write(table(1.0), path)
    return table(1.0)


def test_a_bound_on_time_may_come_later_than_the_network(
    start: Callable[..., Session], own_table: LatencyTable
) -> None:
    session = start(policy=Policy((), "100%"))
    before = session.model
    assert before.latency_ms is None
    session.target = "1s"
    session.refresh()
    assert session.model.program is before.program
    assert session.model.latency_ms == pytest.approx(own_table.latency_ms(before.graph.nodes))
    assert session.counters.switches == 0
    session.logits(IMAGES[:1])
    assert session.feedback.count == 1


def test_the_engine_auto_is_the_one_that_the_bound_on_time_is_kept_with(
    start: Callable[..., Session], own_table: LatencyTable
) -> None:
    assert start(target="1s", engine="auto").model.engine == "numpy"


def test_without_a_table_a_bound_on_time_is_refused_at_the_start_and_reported_later(
    start: Callable[..., Session],
) -> None:
    with pytest.raises(TableError, match="eas lut build"):
        start(target="8ms")
    session = start()
    before = session.model
    session.target = "8ms"
    session.refresh()
    assert session.model is before
    assert isinstance(session.last_error, TableError)


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
