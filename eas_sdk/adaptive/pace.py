"""Pacing: a thread works in short turns and rests between them, so that other threads hardly notice it.

Python runs one thread at a time (the global interpreter lock). A prediction is a thousand numpy calls, each of which
lets go of the lock and needs it back, while building a network is tens of milliseconds of Python code, which gives the
lock away only after the switch interval of 5 ms. A hook on the building thread's own calls and returns (sys.setprofile
is a setting of one thread) puts it to sleep as soon as its turn is over. A call into C cannot be interrupted: a turn is
longer where a single one takes longer, as in engines that load a whole file at once; those let go of the lock in their
own time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TURN_S = 0.00015
"""Length of a turn. A prediction that needs the lock waits for no more than this at a time, plus one call into C."""

REST_S = 0.004
"""Length of a rest: a paced thread takes less than a tenth of what the others have."""

URGENT_REST_S = 0.0005
"""Length of a rest where the others wait for what is being made: a quarter of what they have, in turns as short."""


@contextmanager
def paced(needed: Callable[[], bool], rest_s: float = REST_S) -> Iterator[None]:
    """Work in turns inside the `with`, as far as this thread is concerned.

    A thread that a profiler is looking at already is left alone.

    Args:
        needed: asked at the end of each turn: without need, there is no rest.
        rest_s: seconds of a rest.
    """
    if sys.getprofile() is not None:
        yield
        return
    clock = time.perf_counter
    began = clock()

    def hook(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal began
        if clock() - began > TURN_S:
            if needed():
                rest(rest_s)
            began = clock()

    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)


def rest(seconds: float) -> None:
    """Let others work."""
    time.sleep(seconds)
