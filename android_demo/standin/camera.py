"""A camera that gives twenty frames a second of whatever is before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from android_demo.standin.scenes import Frame, Scene

PERIOD_S = 1 / 20


class Camera:
    """Gives twenty frames a second; who asks gets the newest.

    Attributes:
        scene: what is before it; task: what is told apart.
        paused: whether it rests.
    """

    def __init__(self, scene: Scene, task: str) -> None:
        self.scene = scene
        self.task = task
        self.paused = False
        self._newest: Frame | None = None
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def newest(self) -> Frame | None:
        """The last frame; None before the first."""
        return self._newest

    def after(self, number: int, timeout_s: float, interrupted: Callable[[], bool]) -> Frame | None:
        """The newest frame, once it is newer than `number`; None where none comes in time, or something else does.

        Args:
            interrupted: whether something else came; looked at when `interrupt` is called.
        """

        def is_newer() -> bool:
            return self._newest is not None and self._newest.number > number

        with self._ready:
            self._ready.wait_for(lambda: self._closing or interrupted() or is_newer(), timeout_s)
            return self._newest if is_newer() and not interrupted() else None

    def interrupt(self) -> None:
        """Let those who wait for a frame look at what else there is."""
        with self._ready:
            self._ready.notify_all()

    def close(self) -> None:
        """Stop."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._thread.join()

    def _run(self) -> None:
        number, began = 0, time.monotonic()
        while not self._closing:
            number += 1
            if self.paused:
                time.sleep(PERIOD_S)
                continue
            made = self.scene.frame(self.task, time.monotonic() - began, number)
            with self._ready:
                self._newest = made
                self._ready.notify_all()
            time.sleep(max(0.0, began + number * PERIOD_S - time.monotonic()))
