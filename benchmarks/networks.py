"""Networks of the paper's size with random weights, for benchmarks of time and bytes."""

from __future__ import annotations

from pathlib import Path

import eas_sdk
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic import PAPER
from tests.bundles import random_bundle

DEPTHS = (4, 4, 4, 3, 3)
ABOUT_300M = Architecture(tuple((Block(5, 4),) * depth for depth in DEPTHS))
"""A network of the paper's space (224 px, width 1.0) of about 300 million multiply-adds: k5e4 throughout."""

CLASSES = 60


def paper_runtime(folder: Path) -> Runtime:
    """A runtime over a bundle of the paper's space with random weights and one task of 60 labels."""
    return eas_sdk.load(random_bundle(folder, {"things": [f"thing {i}" for i in range(CLASSES)]}, space=PAPER))
