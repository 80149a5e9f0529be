"""The hot path: what predictions leave behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Model
from eas_sdk.adaptive.feedback import Feedback
from eas_sdk.adaptive.traffic import Traffic

IMAGE = np.zeros((1, SPACE.input_sizes[-1], SPACE.input_sizes[-1], 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("bundle")
    return eas_sdk.load(random_bundle(folder)).specialize("birds", "1M")


def test_it_reports_a_step_once_it_has_been_followed(model: Model) -> None:
    traffic, reports = Traffic(model), []
    traffic.on_moved = lambda: reports.append(traffic.feedback)
    for _ in range(20):
        traffic._feed(2.0, 1.0)
    assert 2 * 0.9 < reports[0].scale < 2
    assert len(reports) > 10  # until somebody takes it into use
    traffic.used = reports[-1]
    before = len(reports)
    traffic._feed(2.0, 1.0)
    assert len(reports) == before


def test_it_knows_how_many_predictions_run(model: Model) -> None:
    traffic, barrier = Traffic(model), threading.Barrier(3, timeout=10)

    def call(active: Model, batch: np.ndarray) -> bool:
        barrier.wait()
        return traffic.busy

    assert not traffic.busy
    threads = [threading.Thread(target=traffic.run, args=(IMAGE, call)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (traffic.most_at_once, traffic.busy, traffic.predictions.value) == (3, False, 3)


def test_a_prediction_ends_with_the_network_it_began_with(model: Model) -> None:
    traffic = Traffic(model)

    def switch(active: Model, batch: np.ndarray) -> Model:
        traffic.active = eas_sdk.load("emoji").specialize("birds", "20%")
        return active

    result, named, elapsed_ms = traffic.run(IMAGE, switch)
    assert result is named is model
    assert elapsed_ms > 0
    assert traffic.active is not model


def test_an_error_passes_and_leaves_nothing_behind(model: Model) -> None:
    traffic = Traffic(model)
    with pytest.raises(ZeroDivisionError):
        traffic.run(IMAGE, lambda active, batch: 1 / 0)
    assert (traffic.busy, traffic.predictions.value, traffic.feedback) == (False, 0, Feedback())


def test_a_thread_never_waits_to_bring_its_sample(model: Model) -> None:
    traffic = Traffic(model)
    with traffic._feeding:
        traffic._feed(2.0, 1.0)
    assert traffic.feedback.count == 0
    traffic._feed(2.0, 1.0)
    assert traffic.feedback.count == 1
