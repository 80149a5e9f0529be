"""Ctrl-C and termination, seen between two steps: what was done is saved before the process ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the process was asked to end, and by which signal."""

    asked: int | None = None

    def raise_if_asked(self) -> None:
        """End as the signal would have ended it.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; SystemExit: the process is to terminate.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked is not None:
            raise SystemExit(128 + self.asked)


@contextmanager
def stop_between_steps() -> Iterator[Stop]:
    """The first signal is noted, a second one of Ctrl-C interrupts at once. Elsewhere than in the main thread, where no
    signal arrives, nothing is changed."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.asked = number

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
