"""What is measured, in the words of a latency table: this phone, or the computer that stands in for one."""

from __future__ import annotations

import sys
from dataclasses import replace

from eas_sdk.latency.local import conditions as computer
from eas_sdk.latency.meter import Conditions

ENGINE = "litert"
PAUSE_MS = 33.0
"""Between the frames of a camera that gives thirty a second."""

SOC_SINCE = 31
"""The API level that tells the name of the chip."""


def conditions(threads: int, runtime_version: str = "") -> Conditions:
    """What times of LiteRT on this device hold for.

    Args:
        runtime_version: of LiteRT, as the app was built with it; on a computer the installed package tells its own.
    """
    if not hasattr(sys.modules.get("java"), "jclass"):
        return replace(computer(ENGINE, threads), pause_ms=PAUSE_MS)
    from android.os import Build

    soc = f"{Build.SOC_MANUFACTURER} {Build.SOC_MODEL}" if Build.VERSION.SDK_INT >= SOC_SINCE else Build.HARDWARE
    version = f"com.google.ai.edge.litert:litert {runtime_version or 'unknown'}"
    return Conditions(
        device=f"{Build.MANUFACTURER} {Build.MODEL}",
        soc=soc,
        engine=ENGINE,
        threads=threads,
        precision="float32",
        runtime_version=f"{version}, Android {Build.VERSION.RELEASE}",
        pause_ms=PAUSE_MS,
    )
