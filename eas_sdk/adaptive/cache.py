"""A cache of built networks: those used last, within a limit of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from eas_sdk.graph.memory import memory_model
from eas_sdk.model import Model
from eas_sdk.processes import Lock
from eas_sdk.space.architecture import Architecture
from eas_sdk.task import Task


class Key(NamedTuple):
    """What makes a network. Of the task, more than its name: two of one name may tell other classes apart."""

    task: Task
    architecture: Architecture
    engine: str


@dataclass(frozen=True)
class CacheCounters:
    """Look-ups that found a network, look-ups that did not, networks dropped, and what is held now."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    networks: int = 0
    bytes: int = 0


def model_bytes(model: Model, at_once: int = 1) -> int:
    """Memory of a built network: its weights, and the activations of so many predictions at the same time."""
    weights = sum(weight.nbytes for weight in model.graph.weights.values())
    return round(memory_model(model.engine).bytes(weights, at_once * model.cost.peak_activation_bytes))


class ModelCache:
    """Least recently used networks are dropped first; the active one never is, even where it alone is too large.

    Threads may share it.

    Args:
        limit_bytes: of all networks together.
        size: memory of a network, asked once.
    """

    def __init__(self, limit_bytes: int, size: Callable[[Model], int] = model_bytes) -> None:
        self._limit, self._size = limit_bytes, size
        self._lock = Lock()
        self._held: OrderedDict[Key, tuple[Model, int]] = OrderedDict()
        self._bytes = self._hits = self._misses = self._evictions = 0
        self._active: Key | None = None

    @property
    def counters(self) -> CacheCounters:
        """What happened so far."""
        with self._lock:
            return CacheCounters(self._hits, self._misses, self._evictions, len(self._held), self._bytes)

    def __contains__(self, key: Key) -> bool:
        """Whether the network is held; no use of it."""
        with self._lock:
            return key in self._held

    def get(self, key: Key) -> Model | None:
        """The network of `key`, which counts as used now; None where it is not held."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._held.move_to_end(key)
            return found[0]

    def activate(self, key: Key, model: Model) -> None:
        """Hold `model` as the active network from now on, and drop others until the rest fits."""
        size = self._size(model)
        with self._lock:
            self._active = key
            _, before = self._held.pop(key, (model, 0))
            self._held[key] = model, size
            self._bytes += size - before
            self._shrink(self._limit)

    def trim(self) -> None:
        """Drop all networks but the active one."""
        with self._lock:
            self._shrink(0)

    def _shrink(self, limit: int) -> None:
        for key in [key for key in self._held if key != self._active]:
            if self._bytes <= limit:
                break
            self._bytes -= self._held.pop(key)[1]
            self._evictions += 1
