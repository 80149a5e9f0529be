"""The screen without its looks: what the user wishes, what is decided, what runs. The app's ViewModel does the same."""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from android_demo.standin.camera import Camera
from android_demo.standin.device import Device
from android_demo.standin.frames import Exchange, Frames, LiteRtRunner
from android_demo.standin.scenes import Pictures, Scene
from eas_demo.blocks import Stopped
from eas_demo.choice import UNITS
from eas_demo.demo import Demo
from eas_sdk.errors import EasError, InputError

TICK_S = 1.0


@dataclass(frozen=True)
class Wish:
    """What the user asked for, and when (time.perf_counter)."""

    task: str
    unit: str
    value: float
    asked_s: float


@dataclass(frozen=True)
class Measuring:
    """Progress of the benchmark."""

    done: int
    total: int
    what: str


class Screen:
    """Owns camera, frames and the demo; all of Python's decisions are made on one thread.

    Attributes:
        answered: the newest wish that was decided, and whether another network followed.

    Args:
        folder: the app's storage.
        scene: what the camera sees; by default pictures that come with the package.

    Raises:
        BundleError, OSError: see `Demo`.
    """

    def __init__(
        self, folder: Path, *, threads: int = 1, bundle: str | None = None, scene: Scene | None = None
    ) -> None:
        self.device = Device()
        self._demo = Demo(str(folder), threads=threads, bundle=bundle, read_state=self.device.read)
        self._info: dict[str, Any] = json.loads(self._demo.info())
        task, facts = next(iter(self._info["tasks"].items()))
        self._wish = Wish(task, "madds", sum(facts["madds"]) / 2, time.perf_counter())
        self.answered: tuple[Wish | None, bool] = None, False
        self._update: dict[str, Any] = {}
        self._measuring: Measuring | None = None
        self._measure_wanted = self._stop_wanted = self._closing = False
        self._said = ""
        self._unread: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._rewritten: set[str] = set()
        self._wake = threading.Condition()
        self._pending = True
        self._camera = Camera(scene or Pictures.shipped(list(self._info["tasks"])), task)
        self._frames = Frames(self._camera, lambda: self.device.slowdown, self._unreadable)
        self._thread = threading.Thread(target=self._run, name="python", daemon=True)
        self._thread.start()

    @property
    def table_path(self) -> Path:
        """The latency table, once it is measured."""
        return self._demo.table_path

    def wish(self, task: object, unit: object, value: object) -> Wish:
        """The user moved something; only the newest wish counts.

        Raises:
            InputError: no such task, unit or value.
        """
        if task not in self._info["tasks"]:
            raise InputError(f"the task is one of {', '.join(self._info['tasks'])}; got {task!r}")
        if unit not in UNITS:
            raise InputError(f"the unit is one of {', '.join(UNITS)}; got {unit!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
            raise InputError(f"the value is a number of 0 or more; got {value!r}")
        self._wish = made = Wish(str(task), str(unit), float(value), time.perf_counter())
        self._camera.task = str(task)
        self._decide()
        return made

    def set_device(self, changes: dict[str, Any]) -> None:
        """Battery, heat or load changed.

        Raises:
            InputError: see `Device.set`.
        """
        self.device.set(changes)
        self._decide()

    def measure(self, on: bool) -> None:
        """Start the benchmark, or stop it."""
        self._stop_wanted = not on
        if on and self._measuring is None:
            self._measure_wanted = True
            self._decide()

    def newest_frame(self) -> Any:
        """Pixels of the newest frame, uint8 [H, W, 3]; None before the first."""
        newest = self._camera.newest
        return None if newest is None else newest.pixels

    def state(self) -> dict[str, Any]:
        """All that the page shows, JSON-able."""
        wish, measuring = self._wish, self._measuring
        return {
            "info": self._info,
            "wish": {"task": wish.task, "unit": wish.unit, "value": wish.value},
            "update": {name: value for name, value in self._update.items() if name != "network"},
            "device": {**self.device.state.to_json(), "slowdown": self.device.slowdown},
            "measuring": None if measuring is None else vars(measuring),
            "said": self._said,
            "scene": self._camera.scene.about(wish.task),
            **self._frames.facts(),
        }

    def close(self) -> None:
        """Stop all threads."""
        with self._wake:
            self._closing = self._stop_wanted = True
            self._wake.notify_all()
        self._thread.join()
        self._frames.close()
        self._camera.close()

    def _decide(self) -> None:
        with self._wake:
            self._pending = True
            self._wake.notify_all()

    def _run(self) -> None:
        while not self._closing:
            with self._wake:
                self._wake.wait_for(lambda: self._pending or self._closing, TICK_S)
                asked_s = time.perf_counter() if not self._pending else None
                self._pending = False
            if self._closing:
                return
            if self._measure_wanted:
                self._measure_wanted = False
                self._measure()
            self._look(asked_s)

    def _look(self, ticked_s: float | None) -> None:
        """One update of the demo.

        Args:
            ticked_s: when the clock, and not the user, asked for it.
        """
        self._discard_unread()
        wish = self._wish
        file, times = self._frames.taken()
        update = json.loads(self._demo.update(wish.task, wish.unit, wish.value, file, times))
        self._update = update
        if self.answered[0] is not wish:
            self.answered = wish, update["changed"]
        if update["changed"] and update["network"] is not None:
            asked_s = wish.asked_s if ticked_s is None else ticked_s
            self._frames.exchange(Exchange(update["network"], asked_s, update["reason"], update["decide_ms"]))

    def _measure(self) -> None:
        self._said, self._stop_wanted = "", False
        self._camera.paused = True  # what else runs would be measured too
        try:
            self._demo.measure(LiteRtRunner(), self)
            self._said = "the blocks are measured: budgets in milliseconds are met from now on"
        except Stopped as stopped:
            self._said = str(stopped)
        except (EasError, OSError) as error:
            self._said = f"error: {error}"
        finally:
            self._measuring = None
            self._camera.paused = False
            self._info = json.loads(self._demo.info())

    def show(self, done: int, total: int, what: str, /) -> bool:
        """See `eas_demo.blocks.Listener`."""
        self._measuring = Measuring(done, total, what)
        return not self._stop_wanted

    def _unreadable(self, path: str, error: str) -> None:
        """A network's file cannot be run; told by the thread of the frames."""
        self._unread.put((path, error))
        self._decide()

    def _discard_unread(self) -> None:
        """Files that cannot be run are written anew, once."""
        while not self._unread.empty():
            path, error = self._unread.get()
            if path in self._rewritten:
                self._said = f"error: {error}"
            else:
                self._rewritten.add(path)
                self._demo.discard(path)
