"""Frames through the network in use, on a thread of their own: what the app's Kotlin does with LiteRT."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from android_demo.standin.camera import Camera
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.errors import ExportError

REMEMBERED = 200
"""Frames that percentiles are taken of."""

SHOWN = 20
"""Switches that are remembered."""

WARM_UP = 3
DISPLACED_BYTES = 4 * 2**20
WAIT_S = 0.2
TOP = 3


@dataclass(frozen=True)
class Exchange:
    """A network that is to take over.

    Attributes:
        facts: of `Demo.update`'s "network".
        wished_s: when the user, or the device's state, asked for it; time.perf_counter.
        reason: why.
        decide_ms: what the decision took.
    """

    facts: dict[str, Any]
    wished_s: float
    reason: str
    decide_ms: float


@dataclass(frozen=True)
class Running:
    """The network in use."""

    facts: dict[str, Any]
    interpreter: Interpreter


class Frames:
    """Classifies the newest frame, over and over.

    Args:
        slowdown: how many times longer a frame takes than the computer needs.
        failed: is told of a network's file that cannot be run.
    """

    def __init__(self, camera: Camera, slowdown: Callable[[], float], failed: Callable[[str, str], None]) -> None:
        self.count = self.switch_count = 0
        self._switches: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self._camera, self._slowdown, self._failed = camera, slowdown, failed
        self._exchanges: queue.SimpleQueue[Exchange] = queue.SimpleQueue()
        self._running: Running | None = None
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self._fresh: list[float] = []
        self._top: list[tuple[str, float]] = []
        self._shown = ""
        self._stamps: deque[float] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def exchange(self, wanted: Exchange) -> None:
        """Run another network from the next frame on."""
        self._exchanges.put(wanted)
        self._camera.interrupt()

    def taken(self) -> tuple[str, list[float]]:
        """The network's file, and the times of its frames since the last call, in milliseconds."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return "" if self._running is None else self._running.facts["file"], fresh

    def facts(self) -> dict[str, Any]:
        """What the screen shows."""
        with self._lock:
            times, stamps = list(self._times), list(self._stamps)
            now = time.perf_counter()
            return {
                "network": None if self._running is None else self._running.facts,
                "top": self._top,
                "shown": self._shown,
                "p50_ms": float(np.percentile(times, 50)) if times else None,
                "p95_ms": float(np.percentile(times, 95)) if times else None,
                "frames": self.count,
                "fps": sum(now - stamp <= 1 for stamp in stamps),
                "switches": list(self._switches),
                "switch_count": self.switch_count,
            }

    def close(self) -> None:
        """Stop."""
        self._closing = True
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._closing:
            wanted = self._newest_exchange()
            loaded_ms = 0.0
            if wanted is not None:
                began = time.perf_counter()
                if not self._load(wanted):
                    continue
                loaded_ms = 1e3 * (time.perf_counter() - began)
                number = 0  # the frame that is there will do for the new network
            seen = self._camera.after(number, WAIT_S, lambda: not self._exchanges.empty())
            if seen is None:
                continue
            number, running = seen.number, self._running
            if running is None:
                continue
            image = network_input(seen.pixels, running.facts["input_size"])
            began = time.perf_counter()
            (probabilities,) = running.interpreter.run(image)
            spent = time.perf_counter() - began
            time.sleep(spent * (self._slowdown() - 1))
            taken_ms = 1e3 * (time.perf_counter() - began)
            order = np.argsort(-probabilities)[:TOP]
            with self._lock:
                self._top = [(running.facts["labels"][i], float(probabilities[i])) for i in order]
                self._shown = seen.shown
                self._times.append(taken_ms)
                self._fresh.append(taken_ms)
                self._stamps.append(time.perf_counter())
                self.count += 1
                if wanted is not None:
                    self._switches.append(_switch(wanted, loaded_ms, taken_ms))
                    self.switch_count += 1

    def _newest_exchange(self) -> Exchange | None:
        wanted = None
        while not self._exchanges.empty():
            wanted = self._exchanges.get()
        return wanted

    def _load(self, wanted: Exchange) -> bool:
        path = wanted.facts["file"]
        try:
            interpreter = Interpreter(Path(path))
        except (ExportError, OSError) as error:
            self._failed(path, str(error))
            return False
        with self._lock:
            self._running = Running(wanted.facts, interpreter)
            self._times.clear()
            self._fresh, self._top = [], []  # which were of the network before
        return True


def network_input(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
    """The middle square of a frame, scaled: float32 [1, S, S, 3] in [0, 1]."""
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    scaled = square.resize((size, size), Image.Resampling.BOX)
    image: npt.NDArray[np.float32] = np.divide(np.asarray(scaled)[None], 255, dtype=np.float32)
    return image


class LiteRtRunner:
    """Times a block's file; see `eas_demo.blocks.BlockRunner`."""

    def __init__(self) -> None:
        self._displaced = np.zeros(DISPLACED_BYTES, np.uint8)

    def run(self, path: str, runs: int, displaced: bool, pause_ms: float, /) -> Sequence[float]:
        """Milliseconds of each inference."""
        interpreter = Interpreter(Path(path))
        image = np.random.default_rng(0).random(interpreter.input_shape, np.float32)
        times = []
        for i in range(WARM_UP + runs):
            if displaced:
                self._displaced += 1
            time.sleep(1e-3 * pause_ms)
            began = time.perf_counter()
            interpreter.run(image)
            if i >= WARM_UP:
                times.append(1e3 * (time.perf_counter() - began))
        return times


def _switch(wanted: Exchange, load_ms: float, first_ms: float) -> dict[str, Any]:
    facts = wanted.facts
    return {
        "task": facts["task"],
        "madds": facts["madds"],
        "reason": wanted.reason,
        "decide_ms": wanted.decide_ms,
        "slice_ms": facts["slice_ms"],
        "write_ms": facts["write_ms"],
        "load_ms": load_ms,
        "first_ms": first_ms,
        "total_ms": 1e3 * (time.perf_counter() - wanted.wished_s),
    }
