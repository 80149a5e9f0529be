"""The peak resident memory of this process, as the system reports it."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PEAK = re.compile(r"^VmHWM:\s+([0-9]+) kB$", re.MULTILINE)
FORGET_PEAK = "5"
"""Makes Linux count a process's peak from now on; see proc(5), clear_refs."""


def growth_bytes(work: Callable[[], object]) -> int | None:
    """By how much the peak resident memory grows while `work` runs; None where the system does not tell.

    On systems without /proc, such as macOS, growth counts from the greatest peak so far. Where the C library keeps
    free memory to itself, what `work` takes of that is no growth; glibc is made to give it back before.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # no glibc, or no library to ask at all
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(FORGET_PEAK)
    before = peak_bytes()
    work()
    after = peak_bytes()
    return None if before is None or after is None else after - before


def peak_bytes() -> int | None:
    """Peak resident memory; None where the system does not tell."""
    # getrusage comes second: on Linux its maximum includes the process that started this one.
    with suppress(OSError):
        if found := PEAK.search(Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")):
            return 1024 * int(found[1])
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
