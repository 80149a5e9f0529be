"""Sessions whose networks differ in input size: frames stay what they are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from settable_device import CALM, HOT, Device
from sizes import LARGE, SMALL, runtime_of_sizes

from eas_sdk import Runtime
from eas_sdk.adaptive.session import Session
from eas_sdk.adaptive.traffic import Traffic
from eas_sdk.device.policy import Policy, Rule
from eas_sdk.images import to_square

POLICY = Policy((Rule("hot", "0%", thermal_at_least="moderate"),), "100%")
FRAME = np.random.default_rng(3).integers(0, 256, (1, 60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return runtime_of_sizes(tmp_path_factory.mktemp("bundle"))


def test_networks_change_size_between_two_frames_while_threads_predict(
    runtime: Runtime, start: Callable[..., Session], device: Device
) -> None:
    session = start(policy=POLICY, dwell_s=0)
    fitting = np.random.default_rng(4).integers(0, 256, (2, LARGE, LARGE, 3), np.uint8)
    ends = {end: runtime.specialize("birds", end) for end in ("0%", "100%")}
    expected = {
        model.input_size: {n: model.logits(images) for n, images in ((1, FRAME), (2, fitting))}
        for model in ends.values()
    }
    assert set(expected) == {SMALL, LARGE}
    stop, answered, errors = threading.Event(), set(), []

    def predict(images: np.ndarray) -> None:
        try:
            while not stop.is_set():
                answer = session.answer(images)
                size = answer.model.input_size
                np.testing.assert_array_equal(answer.logits, expected[size][len(images)])
                assert len(session.predict(images)) == len(images)
                answered.add((size, len(images)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=predict, args=(images,)) for images in (FRAME, fitting, FRAME, fitting)]
    for thread in threads:
        thread.start()
    for step in range(400):
        device.state = HOT if step % 2 == 0 else CALM
        session.refresh()
        if errors or (step >= 20 and len(answered) == 4):
            break
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert answered == {(size, count) for size in (SMALL, LARGE) for count in (1, 2)}
    assert session.counters.failures == 0


def test_bringing_images_to_size_is_not_blamed_on_the_network(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would shrink networks, which helps nothing."""
    clock = [0.0]
    monkeypatch.setattr("eas_sdk.adaptive.traffic.time.perf_counter", lambda: clock[0])

    def slow(images: np.ndarray, size: int) -> np.ndarray:
        clock[0] += 1.0
        return np.stack([to_square(image, size) for image in images])

    monkeypatch.setattr("eas_sdk.adaptive.traffic.as_float_batch", slow)
    traffic = Traffic(runtime.specialize("birds", "0%"))

    def call(model: object, batch: np.ndarray) -> tuple[int, ...]:
        clock[0] += 0.002
        return batch.shape

    shape, _, elapsed_ms = traffic.run(FRAME, call)
    assert shape == (1, SMALL, SMALL, 3)
    assert elapsed_ms == pytest.approx(2)


def test_what_was_made_for_the_router_serves_a_network_of_its_size_alone(runtime: Runtime) -> None:
    seen = np.full((1, LARGE, LARGE, 3), 0.5, np.float32)
    for end, served in (("100%", True), ("0%", False)):
        traffic = Traffic(runtime.specialize("birds", end))
        batch, model, _ = traffic.run(FRAME, lambda _, batch: batch, seen)
        assert (batch is seen) == served
        assert batch.shape == (1, model.input_size, model.input_size, 3)
