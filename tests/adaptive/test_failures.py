"""What an adaptive session survives: budgets, networks, devices and callbacks that fail."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest
from settable_device import HOT, IMAGES, LOW, Device

from eas_sdk import Model, Runtime
from eas_sdk.adaptive.controller import RETRY_S
from eas_sdk.adaptive.records import Switch
from eas_sdk.adaptive.session import Session
from eas_sdk.errors import EasError, InfeasibleBudget


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


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["read_state", "on_switch", "on_error"])
def test_no_exception_ends_the_thread(
    start: Callable[..., Session], device: Device, error: BaseException, where: str
) -> None:
    def end(*_: object) -> Any:
        if device.now == 1:
            raise error
        return device.read()

    session = start(**{where: end})
    device.now = 1
    if where == "read_state":
        device.state = HOT
    elif where == "on_switch":
        session.target = "700k"
    else:
        session.target = "1k"
    session.refresh()
    assert session.last_error is error
    device.now, device.state, session.target = 2, HOT, "600k"
    session.refresh()
    assert session.model.madds <= 600_000
    assert session.counters.failures == 1


def test_a_session_may_wait_for_ever_between_two_looks(start: Callable[..., Session], device: Device) -> None:
    session = start(poll_s=1e10)
    device.state = HOT
    session.refresh()
    assert session.model.madds <= 600_000
