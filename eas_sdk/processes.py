"""What holds for one process alone: locks, which a forked child finds open, and what objects remember.

Threads do not run on in a child, and never release there what they held when it was forked.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import weakref
from types import TracebackType
from typing import Any, Protocol


class Renewed(Protocol):
    """Something that a child has to make anew."""

    def renew(self) -> None:
        """Is called in the child, before anything else runs there."""
        ...


_known: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renew_in_children(thing: Renewed) -> None:
    """Have `thing.renew` called in every child that is forked while it lives."""
    _known.add(thing)


def _renew() -> None:
    for thing in list(_known):
        thing.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew)


class Lock:
    """`threading.Lock`, open in a forked child."""

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """See `Renewed`."""
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        """See `threading.Lock`."""
        return self._lock.acquire(blocking)

    def release(self) -> None:
        """See `threading.Lock`."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()


class PickledByFields:
    """A dataclass that is pickled without what it has cached: hashes of text differ from process to process."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
