"""Bounds on time: the latency table, and the closed loop that corrects it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from bundles import SPACE
from settable_device import IMAGES, Device

from eas_sdk import Runtime
from eas_sdk.adaptive import pace
from eas_sdk.adaptive.session import Session
from eas_sdk.device.policy import Policy
from eas_sdk.errors import TableError
from eas_sdk.graph.cost import cost, madds
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.segments import key
from eas_sdk.latency.store import table_path
from eas_sdk.latency.table import LatencyTable, write


def table(largest_ms: float) -> LatencyTable:
    """Times in proportion to multiply-adds; the largest network takes so many milliseconds."""
    per_madd = largest_ms / cost(SPACE.structure(SPACE.largest, 3)).madds
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


def test_a_network_that_mends_a_missed_bound_is_built_with_shorter_rests(
    runtime: Runtime, start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(pace, "rest", rests.append)
    runtime = dataclasses.replace(runtime, latency=table(0.001))
    session = start(runtime=runtime, policy=Policy((), "100%"), target="6us")
    before = session.model
    predict_until(session, lambda: session.model is not before)
    assert pace.URGENT_REST_S in rests
    session.close()
    rests.clear()
    session = start()
    session.target = "1%"
    predict_until(session, lambda: session.counters.switches == 1)
    assert set(rests) <= {pace.REST_S}


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


def test_without_a_table_a_bound_on_time_is_kept_by_a_quick_one(start: Callable[..., Session]) -> None:
    session = start()
    session.target = "1000s"
    session.refresh()
    assert session.last_error is None
    assert session.model.latency_ms is not None


def test_a_bound_on_time_with_a_table_out_of_date_is_refused_at_the_start_and_reported_later(
    start: Callable[..., Session], own_table: LatencyTable
) -> None:
    old = dataclasses.replace(own_table.conditions, runtime_version="numpy 0.1")
    write(dataclasses.replace(own_table, conditions=old), table_path("numpy", 1))
    with pytest.raises(TableError, match="eas lut build"):
        start(target="8ms")
    session = start()
    before = session.model
    session.target = "8ms"
    session.refresh()
    assert session.model is before
    assert isinstance(session.last_error, TableError)
