"""What a stage costs: CPU seconds on a CPU, which other work on the machine does not change; wall seconds on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def clock(device: torch.device) -> Callable[[], float]:
    """A clock in seconds for work on a device; only differences mean something."""
    return time.process_time if device.type == "cpu" else time.perf_counter
