"""What measures: this machine's engines (`local.py`) and phones behind adb (`phone.py`) look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eas_sdk.errors import InputError
from eas_sdk.graph.nodes import Graph

LONGEST_PAUSE_MS = 1e7


@dataclass(frozen=True)
class Conditions:
    """What a measurement holds for; numbers of other conditions are never mixed with them.

    Attributes:
        device: the maker's name of the machine or phone.
        soc: its processor.
        engine: what runs the networks: a name of `eas_sdk.engine.ENGINES`, or "benchmark_model".
        threads: most threads for one prediction.
        precision: of the networks: "float32", "float16", "dynamic" or "int8".
        runtime_version: package and version, or what the binary says of itself.
        binary_sha256: of the program that ran the networks; "" for a Python package.
        affinity: hexadecimal mask of the cores it may run on; "" for all.
        pause_ms: between two inferences of a whole network. An application that gets a camera frame every 33 ms finds
            cold caches and a processor that has slowed down, where one inference after the other does not.

    Raises:
        InputError: the pause is no number of milliseconds from 0 to `LONGEST_PAUSE_MS`.
    """

    device: str
    soc: str
    engine: str
    threads: int
    precision: str
    runtime_version: str
    binary_sha256: str = ""
    affinity: str = ""
    pause_ms: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.pause_ms <= LONGEST_PAUSE_MS:
            raise InputError(f"a pause takes from 0 to {LONGEST_PAUSE_MS:g} ms; got {self.pause_ms}")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one inference, over `count` runs after warm-up.

    Attributes:
        spread_ms: half the distance between the 25th and the 75th percentile, or the standard deviation where a
            program reports no percentiles.
    """

    median_ms: float
    spread_ms: float
    count: int


class Meter(Protocol):
    """Runs networks where their latency matters."""

    @property
    def conditions(self) -> Conditions:
        """What its measurements hold for."""
        ...

    def measure(self, graph: Graph, *, part: bool = False) -> Timing:
        """Time one image through a network.

        Args:
            part: whether the network stands for a part of a larger one, whose other layers will have displaced it
                from the caches each time it runs. A meter that cannot bring that about may ignore it.

        Raises:
            DeviceError: the device is gone, refuses, is too hot, or answers what cannot be read.
        """
        ...
