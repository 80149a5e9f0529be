"""The background thread: when it works, when it ends, and that it keeps nobody alive."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from eas_sdk.adaptive.worker import Worker


class Owner:
    """Counts its calls; each may be held up."""

    def __init__(self, poll_s: float = 60) -> None:
        self.calls: list[bool] = []
        self.called = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.worker = Worker(self.work, poll_s, "test")

    def work(self, asked: bool) -> None:
        self.called.release()
        assert self.gate.wait(10)
        self.calls.append(asked)


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    owner.gate.set()
    owner.worker.close()


def test_it_works_at_every_poll() -> None:
    owner = Owner(poll_s=0.001)
    for _ in range(3):
        assert owner.called.acquire(timeout=10)
    owner.worker.close()
    assert set(owner.calls) == {False}


def test_waking_is_not_asking(owner: Owner) -> None:
    owner.worker.wake()
    assert owner.called.acquire(timeout=10)
    owner.worker.run(wait=True)
    assert owner.calls == [False, True]


def test_a_run_that_is_waited_for_began_after_the_call(owner: Owner) -> None:
    owner.gate.clear()
    owner.worker.wake()
    assert owner.called.acquire(timeout=10)  # the first is under way
    threading.Timer(0.02, owner.gate.set).start()
    owner.worker.run(wait=True)
    assert owner.calls == [False, True]


def test_many_wake_ups_in_a_row_are_one(owner: Owner) -> None:
    owner.gate.clear()
    owner.worker.wake()
    assert owner.called.acquire(timeout=10)
    for _ in range(100):
        owner.worker.wake()
    owner.gate.set()
    owner.worker.run(wait=True)
    assert len(owner.calls) <= 3


def test_closing_ends_the_thread_and_may_be_repeated(owner: Owner) -> None:
    assert owner.worker.alive
    owner.worker.close()
    owner.worker.close()
    assert owner.worker.closed
    assert not owner.worker.alive
    owner.worker.run(wait=True)  # nobody waits for ever
    assert owner.calls == []


def test_its_own_thread_may_close_it_and_ask_it() -> None:
    class Suicidal(Owner):
        def work(self, asked: bool) -> None:
            super().work(asked)
            self.worker.run(wait=True)
            self.worker.close()

    owner = Suicidal()
    owner.worker.run(wait=True)
    owner.worker._thread.join(10)
    assert not owner.worker.alive


def test_it_ends_with_its_owner() -> None:
    owner = Owner()
    owner.worker.run(wait=True)
    worker, gone = owner.worker, weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    worker._thread.join(10)
    assert not worker.alive
