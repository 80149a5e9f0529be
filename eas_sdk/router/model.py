"""A model for the task "auto": the router picks the superclass of each image, and both answer with its network."""

from __future__ import annotations

import functools
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eas_sdk.budget import format_madds
from eas_sdk.engine.checks import check_answers
from eas_sdk.export import SIGNATURE
from eas_sdk.images import Images, as_float_batch, pick
from eas_sdk.model import Model, Prediction, at_least_one
from eas_sdk.processes import Lock
from eas_sdk.router.network import CompiledRouter, Route, log_softmax
from eas_sdk.space.architecture import Architecture

if TYPE_CHECKING:
    from eas_sdk.router.export import Family

LEAST = 1e-12
"""Probability of a superclass that the router rules out."""


class RoutedModel:
    """The router, and a network for each superclass, built when an image first asks for it. Threads may share it.

    It is pickled without the networks, which are built again.

    Attributes:
        router: picks the superclass.
        architectures: of the network for each superclass.
        madds: multiply-adds of the router and of the largest network: no image takes more.
        latency_ms, memory_bytes: likewise, as predicted; latency_ms is None without a latency table.

    Args:
        build: makes the network for a superclass, of an architecture.
        kept: most networks held at the same time, 1 at least.
    """

    def __init__(
        self,
        router: CompiledRouter,
        architectures: Mapping[str, Architecture],
        build: Callable[[str, Architecture], Model],
        *,
        madds: int,
        memory_bytes: int,
        latency_ms: float | None,
        kept: int,
    ) -> None:
        self.router, self.architectures = router, architectures
        self.madds, self.memory_bytes, self.latency_ms = madds, memory_bytes, latency_ms
        self._build, self._kept = build, kept
        self._held: OrderedDict[str, Model] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        costs: Any = {"madds": self.madds, "memory_bytes": self.memory_bytes, "latency_ms": self.latency_ms}
        made = functools.partial(RoutedModel, **costs, kept=self._kept)
        return made, (self.router, dict(self.architectures), self._build)

    def __repr__(self) -> str:
        return f"<RoutedModel: {len(self.superclasses)} superclasses, at most {format_madds(self.madds)} multiply-adds>"

    @property
    def superclasses(self) -> tuple[str, ...]:
        """What the router tells apart."""
        return self.router.router.superclasses

    @property
    def input_size(self) -> int:
        """Side of the square images that the router computes with, in pixels; each network has its own."""
        return self.router.router.graph.input_size

    def network(self, superclass: str) -> Model:
        """The network for a superclass; it has rows for every class.

        Raises:
            KeyError: there is no such superclass.
        """
        with self._lock:
            if superclass in self._held:
                self._held.move_to_end(superclass)
                return self._held[superclass]
            while len(self._held) >= self._kept:
                self._held.popitem(last=False)
            model = self._held[superclass] = self._build(superclass, self.architectures[superclass])
            return model

    def routes(self, images: Images) -> list[Route]:
        """The superclass of each image; see `CompiledRouter.routes`."""
        return self.router.routes(images)

    def export(self, folder: str | os.PathLike[str], *, suffix: str = ".tflite", **options: Any) -> Family:
        """Write the router and all networks into a folder; see `eas_sdk.router.export.export_family`."""
        from eas_sdk.router.export import export_family

        return export_family({SIGNATURE: self}, folder, suffix=suffix, **options)

    def predict(self, images: Images, top_k: int = 3, *, scene: bool = False) -> list[Prediction]:
        """Labels with probabilities, one `Prediction` an image; none (`label` is "") where no superclass is known.

        The router picks the network; see `combined` for what the two say together.

        Args:
            images: as `Model.logits` takes them; each is brought to the router's size, and to its network's.
            top_k: how many pairs, at least one.
            scene: the images are frames of one scene: they are routed together.

        Raises:
            ImageError: see `Model.logits`.
        """
        seen = as_float_batch(images, self.input_size)
        routes = [self.router.scene(seen)] * len(seen) if scene else self.routes(seen)
        found = [Prediction(()) for _ in routes]
        for superclass in dict.fromkeys(route.superclass for route in routes if route.superclass is not None):
            mine = [i for i, route in enumerate(routes) if route.superclass == superclass]
            model = self.network(superclass)
            own = seen[mine] if model.input_size == self.input_size else pick(images, mine)
            for i, logits in zip(mine, model.logits(own), strict=True):
                found[i] = combined(routes[i], logits, model, top_k)
        return found


def combined(route: Route, logits: npt.NDArray[np.float32], model: Model, top_k: int = 3) -> Prediction:
    """What a router and a network say together of one image, among the classes that the network knows.

    The probability of a class is in proportion to that of its superclass by the router times its own by the network
    (a product of experts, Hinton 2002): the network may overrule the router where that is unsure, and each makes up
    for some of the other's mistakes.

    Args:
        logits: [classes], of `model`, which behind a router has rows for every class.
    """
    if route.superclass is None:
        return Prediction(())
    check_answers(logits[None])
    prior, superclasses = dict(route.top), model.bundle.superclasses
    every = [superclass.name for superclass in superclasses for _ in superclass.labels]
    owners = [every[c] for c in model.task.classes]
    of_class = np.log(np.maximum([prior[name] for name in owners], LEAST))
    probabilities = np.exp(log_softmax((logits.astype(np.float64) + of_class)[None]))[0]
    best = np.argsort(-probabilities, kind="stable")[: at_least_one(top_k)]
    return Prediction(tuple((model.labels[c], float(probabilities[c])) for c in best), owners[best[0]])
