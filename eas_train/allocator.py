"""Keeping freed memory, so that every step of a training does not ask the system for it again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 2**30
KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what a step frees, for the next; whether it was told.

    By default blocks over 32 MiB at most are mapped afresh each time, and the system clears their pages as they are
    touched: for small networks a third of a step.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
