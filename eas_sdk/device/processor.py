"""The name of this machine's processor, without asking another program, as `platform.processor` does."""

from __future__ import annotations

import os
import platform
from contextlib import suppress


def processor() -> str:
    """As the system has it: of Linux what /proc/cpuinfo says, of Windows what its environment does, else the kind."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Hardware"):
                return value.strip()
    return os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine() or "unknown"
