"""Networks of the paper's size with random weights, for benchmarks of time and bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import eas_sdk
from eas_sdk.bank.container_writer import write
from eas_sdk.runtime import Runtime
from eas_sdk.selector.generator import load
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from tests.bundles import random_bundle
from tests.random_selectors import config, random_tensors

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


def untrained_generator(folder: Path, preset: str, superclasses: int = 30, classes: int = 1000) -> Runtime:
    """A runtime over a preset's space with random weights and a generator of the usual size, as one is that chooses
    among input sizes: what time and guarantees depend on is all there."""
    space = PRESETS[preset]
    assert isinstance(space, ElasticSpace)
    each = classes // superclasses
    names = {f"group {t}": [f"{t}-{i}" for i in range(each)] for t in range(superclasses)}
    runtime = eas_sdk.load(random_bundle(folder, names, space=space, calibration_images=0, router=False))
    tensors = random_tensors(space, superclasses=superclasses, budgets=10, embedding=32, hidden=64, scale=0.3)
    chosen = config(space, budgets=10, samples=64, classes=each)
    return replace(runtime, selector=load(space, superclasses, chosen, tensors))
