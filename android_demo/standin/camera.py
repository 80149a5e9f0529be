"""A camera before which somebody holds drawings: the shipped ones, of an artist that the bundle has not seen."""

from __future__ import annotations

import importlib.resources
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 320
"""Of a frame, in pixels."""

PERIOD_S = 1 / 20
HELD_S = 2.5
"""How long each drawing is held."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the camera.

    Attributes:
        number: from 1, ascending.
        pixels: uint8 [SIDE, SIDE, 3].
        shown: the label of the drawing.
    """

    number: int
    pixels: npt.NDArray[np.uint8]
    shown: str


@cache
def drawings(task: str) -> tuple[tuple[str, Image.Image], ...]:
    """Labels and shipped drawings of a task."""
    folder = importlib.resources.files("eas_sdk") / "assets" / "drawings" / task
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        with file.open("rb") as stream, Image.open(stream) as image:
            found.append((file.name.removesuffix(".png"), image.convert("RGB")))
    return tuple(found)


def frame(task: str, time_s: float, number: int) -> Frame:
    """What the camera sees at a time: a drawing, held by a hand that is never quite still."""
    known = drawings(task)
    label, drawing = known[int(time_s / HELD_S) % len(known)]
    angle = 7 * math.sin(1.7 * time_s)
    side = int(SIDE * (0.92 + 0.05 * math.sin(1.1 * time_s)))
    held = drawing.resize((side, side), Image.Resampling.BICUBIC).rotate(
        angle, Image.Resampling.BICUBIC, expand=False, fillcolor=(255, 255, 255)
    )
    scene = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    left = (SIDE - side) // 2 + int(6 * math.sin(2.3 * time_s))
    top = (SIDE - side) // 2 + int(6 * math.cos(1.9 * time_s))
    scene.paste(held, (left, top))
    return Frame(number, np.asarray(scene), label)


class Camera:
    """Gives twenty frames a second; who asks gets the newest.

    Attributes:
        task: whose drawings are held.
        paused: whether it rests.
    """

    def __init__(self, task: str) -> None:
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
            made = frame(self.task, time.monotonic() - began, number)
            with self._ready:
                self._newest = made
                self._ready.notify_all()
            time.sleep(max(0.0, began + number * PERIOD_S - time.monotonic()))
