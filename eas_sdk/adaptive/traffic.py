"""The hot path: predictions by the active network, their number, and their times for the closed loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from eas_sdk.adaptive.feedback import Feedback, moved, update
from eas_sdk.adaptive.records import Tally
from eas_sdk.images import FloatArray, Images, as_float_batch
from eas_sdk.model import Model
from eas_sdk.processes import Lock

T = TypeVar("T")


class Traffic:
    """Runs predictions of any number of threads, none of which waits for a switch or for another thread.

    Attributes:
        active: the network in use. Assigning another is a switch: predictions that have begun end with the one they
            began with.
        predictions: those that were answered.
        feedback: what their times say.
        used: the feedback that the budget in force was corrected by.
        on_moved: is called when the feedback has left the band around the one in use.
        most_at_once: the most predictions that ever ran at the same time, 1 at least.
    """

    def __init__(self, active: Model) -> None:
        self.active = active
        self.predictions = Tally()
        self.feedback = self.used = Feedback()
        self.most_at_once = 1
        self.on_moved: Callable[[], None] = lambda: None
        self._running: deque[None] = deque()  # an entry for each; deques need no lock
        self._feeding = Lock()

    @property
    def busy(self) -> bool:
        """Whether a prediction runs now."""
        return bool(self._running)

    def run(
        self, images: Images, call: Callable[[Model, FloatArray], T], seen: FloatArray | None = None
    ) -> tuple[T, Model, float]:
        """What `call` makes of the active network and the images at its size, that network, and the milliseconds.

        Bringing the images to that size does not count: latency tables say nothing of it, and no other network would
        be spared it.

        Args:
            seen: the same images at some network's size, which need not be made anew where it is this one's.

        Raises:
            ImageError: see `as_float_batch`.
        """
        model, running = self.active, self._running
        running.append(None)
        if len(running) > self.most_at_once:
            self.most_at_once = len(running)
        try:
            if seen is None or seen.shape[1] != model.input_size:
                seen = as_float_batch(images, model.input_size)
            began = time.perf_counter()
            result = call(model, seen)
            elapsed_ms = 1e3 * (time.perf_counter() - began)
        finally:
            running.pop()
        self.predictions.add()
        if model.latency_ms is not None and len(seen) == 1:  # of a batch, the table knows nothing
            self._feed(elapsed_ms, model.latency_ms)
        return result, model, elapsed_ms

    def _feed(self, measured_ms: float, predicted_ms: float) -> None:
        # Times that overlap with a rebuild count too. It is paced to take less than a tenth of the machine, which the
        # band of `moved` swallows; without them the loop would be blind just when the device has slowed down.
        if not self._feeding.acquire(blocking=False):
            return  # another thread brings news as fresh as this
        try:
            self.feedback = feedback = update(self.feedback, measured_ms, predicted_ms)
        finally:
            self._feeding.release()
        if feedback.settled and moved(feedback, self.used):
            self.on_moved()
