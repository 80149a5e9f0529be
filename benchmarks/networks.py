"""Networks of the paper's size with random weights, for benchmarks of time and bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import eas_sdk
from eas_sdk.bank.container_writer import write
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import PAPER
from tests.bundles import random_bundle

DEPTHS = (4, 4, 4, 3, 3)
FIRST = (Block(3, 1),)
ABOUT_300M = Architecture((FIRST, *((Block(5, 4),) * depth for depth in DEPTHS)))
"""A network of the paper's space (224 px, width 1.0) of about 300 million multiply-adds: k5e4 throughout."""

KERNELS_7 = Architecture((FIRST, *((Block(7, 4),) * depth for depth in DEPTHS)))
"""The same with kernels of 7 x 7."""

CLASSES = 60


def paper_runtime(folder: Path) -> Runtime:
    """A runtime over a bundle of the paper's space with random weights and one task of 60 labels."""
    return eas_sdk.load(random_bundle(folder, {"things": [f"thing {i}" for i in range(CLASSES)]}, space=PAPER))


def float16_paper_bundle(folder: Path) -> Path:
    """The same bundle with weights in float16, as bundles are shipped."""
    runtime = paper_runtime(folder)
    bundle = runtime.bundle
    tensors = {
        name: tensor.astype(np.float16) if name.startswith("bank/") and tensor.dtype == np.float32 else tensor
        for name, tensor in bundle.tensors.items()
    }
    path = folder / "float16.safetensors"
    write(path, tensors, {"eas": bundle.metadata()})
    return path
