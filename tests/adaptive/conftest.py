"""Sessions that decide when they are told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bundles import random_bundle
from settable_device import POLICY, Device

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.adaptive.session import Session


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
