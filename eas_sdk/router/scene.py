"""The scene that frames show: smoothed over frames, with hysteresis, so that single frames do not change it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eas_sdk.images import Images
from eas_sdk.processes import Lock
from eas_sdk.router.network import CompiledRouter, FloatArray, Route, Router

SMOOTHING = 0.4
"""Weight of a new frame. A new scene that every frame is sure of outweighs the old one after two."""

MARGIN = 0.1
"""By how much another superclass must be more probable than the present one to take its place."""

LEAVE = 0.8
"""The present superclass is kept while it has this part of the probability that it took to be known."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What the frames so far show.

    Attributes:
        probabilities: [superclasses], smoothed; None before the first frame.
        superclass: the one to go by; None where the frames show none of them.
    """

    probabilities: FloatArray | None = None
    superclass: str | None = None


def look(scene: Scene, router: Router, frames: FloatArray) -> Scene:
    """The scene after more frames.

    Args:
        frames: [N, superclasses] probabilities, oldest first.
    """
    for frame in frames:
        before = scene.probabilities
        smoothed = frame if before is None else before + SMOOTHING * (frame - before)
        scene = Scene(smoothed, _superclass(scene.superclass, router, smoothed))
    return scene


def route(scene: Scene, router: Router) -> Route:
    """What the router says of a scene, of at least one frame."""
    assert scene.probabilities is not None
    found = router.route(scene.probabilities)
    if scene.superclass is None:
        return Route(found.top, False)
    # Kept superclasses may be below the threshold, or not the most probable.
    first = [pair for pair in found.top if pair[0] == scene.superclass]
    return Route((*first, *(pair for pair in found.top if pair[0] != scene.superclass)), True)


class Tracker:
    """The scene of a session. Threads may share it."""

    def __init__(self, router: CompiledRouter) -> None:
        self._router = router
        self._scene = Scene()
        self._lock = Lock()

    @property
    def route(self) -> Route | None:
        """What the frames so far show; None before the first."""
        scene = self._scene
        return None if scene.probabilities is None else route(scene, self._router.router)

    @property
    def input_size(self) -> int:
        """Side of the square images that the router computes with, in pixels."""
        return self._router.router.graph.input_size

    def look(self, images: Images) -> bool:
        """Take in more frames; whether they made the scene another.

        Raises:
            ImageError: see `CompiledRouter.log_probabilities`; the scene stays.
        """
        router = self._router.router
        frames = np.exp(self._router.log_probabilities(images))[:, : len(router.superclasses)]
        with self._lock:
            before, self._scene = self._scene, look(self._scene, router, frames)
            return before.superclass != self._scene.superclass


def _superclass(present: str | None, router: Router, probabilities: FloatArray) -> str | None:
    best = int(np.argmax(probabilities))
    if present is not None:
        mine = probabilities[router.superclasses.index(present)]
        if mine >= LEAVE * router.threshold and probabilities[best] <= mine + MARGIN:
            return present
    return router.superclasses[best] if probabilities[best] >= router.threshold else None
